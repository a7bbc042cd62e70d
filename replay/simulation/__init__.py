"""A seeded market (`replay.market`) recorded into a capture."""
