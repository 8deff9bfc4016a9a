"""Audience models trained across brands without moving a row."""

__version__ = "0.1.0"
