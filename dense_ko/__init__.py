"""LexDPR, the dense bi-encoder for structured legal text. The room is built; nothing has moved in yet (see CHANGELOG.md)."""
