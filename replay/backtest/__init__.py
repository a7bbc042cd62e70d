"""Strategies against a simulated exchange, on recorded sessions."""
