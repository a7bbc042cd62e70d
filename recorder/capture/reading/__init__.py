"""How a reader finds, holds and serves the frames of a snapshot."""
