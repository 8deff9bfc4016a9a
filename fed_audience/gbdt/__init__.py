"""The learner: arrays in, trees out. Knows no network, no SQL and no consent."""
