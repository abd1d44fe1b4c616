"""Everything that knows OpenSearch: a connection, a model's deployment, indexes, queries, an embedded node, benchmarks."""
