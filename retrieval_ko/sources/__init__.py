"""Where text comes from: encyclopaedia pages, plain-language law, statements, public sets and own files, each to a collection."""
