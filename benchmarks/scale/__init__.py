"""A federation of 500 sites on one machine: real streams, certificates and messages."""
