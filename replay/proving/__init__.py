"""The proof of determinism: every way to the events of a capture gives the same ones."""
