"""What training reads: pairs of queries and passages, their negatives, and splits that do not leak."""
