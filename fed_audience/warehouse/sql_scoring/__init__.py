"""Scoring by the warehouse itself: a model's trees as SQL, run where the rows are."""
