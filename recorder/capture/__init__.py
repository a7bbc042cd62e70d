"""The disk: how a capture is written, sealed, read, verified and recovered."""
