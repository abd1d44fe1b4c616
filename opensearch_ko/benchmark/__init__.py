"""Quality, latency and size of the retrieval modes of one index, measured in one run."""
