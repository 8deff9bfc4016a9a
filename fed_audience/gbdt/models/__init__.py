"""Finished models: their text in LightGBM's format, its strict reader, and the scores they give."""
