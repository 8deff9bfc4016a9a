"""Differential privacy of a run: its accounting, its exact noise and its plan."""
