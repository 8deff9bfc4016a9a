"""Audience models trained across brands without moving a row."""

import logging

__version__ = "0.1.0"

# A library is silent until its user configures logging.
logging.getLogger(__name__).addHandler(logging.NullHandler())
