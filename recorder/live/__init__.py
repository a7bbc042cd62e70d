"""The only sockets and the only real clock."""
