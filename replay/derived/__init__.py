"""Derived tables: the rows of the views as Parquet, made ahead, so that queries need not parse.

Responsible for making them segment by segment (`building`, `making`), for the proof that one fits
its segment (`index`), for reading no more of one than a filter needs and nothing that is damaged
(`reading`), and for telling a scan which segments have one (`fresh`). Refuses to be needed: where
there is none, or the proof fails, the interpreter makes the same rows from the frames.
"""
