"""What a coordinator asks of a cohort, round by round, and what it makes of the sums."""
