"""How a finished journal becomes a sealed segment, in a process of its own."""
