"""A federation simulated from one table, to measure whether federating pays."""
