"""A model whose weights a test chooses: a table of words, deployed as a query tokenizer, which needs no libtorch and loads at once."""

import json
import uuid
import zipfile

from tokenizers import Tokenizer, models, pre_tokenizers

from opensearch_ko.export.archive import ExportCard, ModelArchive
from opensearch_ko.indexes import IndexMeta, IndexPlan, ModelReference, seismic_name
from opensearch_ko.models import delete, ensure_deployed
from opensearch_ko.pipelines import ensure_pipeline, pipeline_name
from retrieval_ko.files import sha256

WORDS = ["전세", "보증금", "임대차", "계약", "손해", "배상", "근로", "퇴직금", "이혼", "위자료", "상속", "세금", "주택", "소음", "층간"]
TABLE = {word: 0.5 + number / 8 for number, word in enumerate(WORDS)}
"""Weights that 32-bit floats hold exactly."""


def tokenizer_of(table):
    vocabulary = {"[UNK]": 0} | {word: number for number, word in enumerate(table, start=1)}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.add_special_tokens(["[UNK]"])
    tokenizer.enable_truncation(512)
    return tokenizer


def write_word_model(folder, table):
    """Write the zip; the weight of a word is the table's."""
    name = f"words-{uuid.uuid4().hex[:8]}"
    path = folder / f"{name}.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("tokenizer.json", tokenizer_of(table).to_str())
        archive.writestr("idf.json", json.dumps(table, ensure_ascii=False))
    card = ExportCard(
        name=name,
        version="0" * 12,
        role="query-tokenizer",
        function_name="SPARSE_TOKENIZE",
        vocabulary_size=len(table) + 1,
        max_tokens=512,
        probe_text=next(iter(table)),
        probe_weights=dict([next(iter(table.items()))]),
        parity={"texts": 1},
        versions={},
    )
    return ModelArchive(path=path, card=card, sha256=sha256(path), size_bytes=path.stat().st_size)


class WordEncoder:
    """The same table on the client."""

    def __init__(self, table, vector=None):
        self.table, self.tokenizer, self.vector, self.calls = table, tokenizer_of(table), vector, []

    def sparse(self, texts):
        self.calls.append(len(texts))
        return [
            {word: self.table[word] for word in dict.fromkeys(self.tokenizer.encode(text).tokens) if word in self.table} for text in texts
        ]

    def ids(self, token):
        return self.tokenizer.token_to_id(token)

    def dense(self, texts):
        return None if self.vector is None else [self.vector for _ in texts]


class WordModel:
    """A deployed table, and the indexes that a test fills with it."""

    def __init__(self, cluster, folder, table=None):
        self.cluster, self.table = cluster, table or TABLE
        self.archive = write_word_model(folder, self.table)
        self.model_id = ensure_deployed(cluster, self.archive).model_id
        self._indexes = []

    def meta(self, **settings):
        """What an index of this model remembers."""
        return IndexMeta(encoder=ModelReference.of(self.archive.card, self.model_id), **settings)

    def index(self, *, replicas=0, **settings):
        """Make an index with its pipeline, and its companion where `settings` ask for one; return its name."""
        name = f"test-{uuid.uuid4().hex[:8]}"
        meta = self.meta(**settings)
        ensure_pipeline(self.cluster, name, meta)
        plan = IndexPlan(name, meta, replicas=replicas)
        self.cluster.request("PUT", f"/{name}", plan.body())
        self._indexes.append(name)
        if meta.seismic:
            self.cluster.request("PUT", f"/{seismic_name(name)}", plan.seismic_body())
            self._indexes.append(seismic_name(name))
        return name

    def stored(self, index):
        """Return everything in an index, `_source` by id."""
        self.cluster.request("POST", f"/{index}/_refresh")
        hits = self.cluster.request("POST", f"/{index}/_search", {"size": 10_000, "query": {"match_all": {}}})["hits"]["hits"]
        return {hit["_id"]: hit["_source"] for hit in hits}

    def remove(self):
        """Delete the indexes, their pipelines and the model."""
        self.drop_indexes()
        delete(self.cluster, self.model_id)

    def drop_indexes(self):
        """Delete the indexes and their pipelines."""
        if self._indexes:
            self.cluster.request("DELETE", f"/{','.join(self._indexes)}", params={"ignore_unavailable": "true"})
        for name in self._indexes:
            if self.cluster.find(f"/_ingest/pipeline/{pipeline_name(name)}"):
                self.cluster.request("DELETE", f"/_ingest/pipeline/{pipeline_name(name)}")
