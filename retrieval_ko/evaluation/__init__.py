"""How good is a ranking: metrics, significance, comparison with BM25, figures and reports."""
