"""Outputs for events beside the capture; each one optional."""
