"""Regression: real traffic as tests of a parser, ours or yours.

Responsible for `check` (events held against a stored expectation, or against another parser),
`census` (what the venue sends, and what of it is new) and `distill` (the smallest capture that
still shows all of it). Refuses to parse anything itself: the one parser and interpreter do.
"""
