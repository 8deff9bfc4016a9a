"""Consent: the order of its events, the decision, and the gate that asks at the last moment."""
