"""Passages into an index: in bulk, safe to repeat, with a checkpoint to go on from and a file of what the cluster would not take.

corpus.py       a collection's passages one after the other
documents.py    a passage as lines of a bulk request
ahead.py        stages that overlap
bulk.py         one request until it is in
checkpoint.py   which passages are in
indexing.py     all of it
"""

from __future__ import annotations

from opensearch_ko.ingest.bulk import Patience
from opensearch_ko.ingest.checkpoint import Checkpoint
from opensearch_ko.ingest.corpus import Corpus
from opensearch_ko.ingest.indexing import Encode, IngestReport, default_checkpoint, index_collection

__all__ = ["Checkpoint", "Corpus", "Encode", "IngestReport", "Patience", "default_checkpoint", "index_collection"]
