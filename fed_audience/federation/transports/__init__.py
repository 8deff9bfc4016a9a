"""Runtimes that carry the rounds."""
