"""Destinations that ship with fed-audience; each registers as an entry point."""
