"""Captures made of captures: joined, cut, merged, imported."""
