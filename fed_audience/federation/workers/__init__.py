"""A brand too large for one machine: its rows in shares, each held by a worker of an engine."""
