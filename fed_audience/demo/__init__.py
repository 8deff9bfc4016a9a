"""Three brands to play with: fashion, grocery and travel. All generated; no person is real."""
