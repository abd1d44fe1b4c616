"""The networks behind a `SparseEncoder`: stock sentence-transformers modules, and the lexical floor, which they cannot hold."""
