"""Measure fed-audience against other learners: ``python -m benchmarks --help``."""
