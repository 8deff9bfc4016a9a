"""Whom to reach: who may be reached, how far to reach, and how brands' customers compare."""
