"""Bi-encoders beside BM25 on a split.

measuring.py   one encoder's row: quality, what it cuts, time
evaluating.py  the whole table, by document type, with and without the template
"""
