"""What privacy costs, and what attacks on it find: one module a measurement."""
