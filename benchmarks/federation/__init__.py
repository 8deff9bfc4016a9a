"""What it costs to train between organisations: processes on loopback, mutual TLS, secure sums."""
