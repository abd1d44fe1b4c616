"""The floor both encoders stand on: Korean text, records, collections, BM25, evaluation, runs. No torch here."""
