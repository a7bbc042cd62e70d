"""How a capture forgets its oldest segments, and what it says of them."""
