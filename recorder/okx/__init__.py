"""All knowledge of OKX, both sides of the wire; pure: bytes and times in, values out."""
