"""Zips for deploys: a table of words that loads at once, and real graphs of 32 dimensions."""

import json
import uuid
import zipfile

import torch
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
from torch import nn
from transformers import BertConfig, BertForMaskedLM, BertModel

from opensearch_ko.errors import ClusterError
from opensearch_ko.export.archive import CARD_NAME, ExportCard, ModelArchive
from opensearch_ko.indexes import seismic_name
from opensearch_ko.inventory import our_indexes
from opensearch_ko.models import MODELS, delete, find_models
from opensearch_ko.pipelines import pipeline_name
from retrieval_ko.files import sha256

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
WORDS = ["전세", "보증금", "임대차", "계약", "손해", "배상", "근로", "퇴직금", "이혼", "위자료", "상속", "세금", "주택", "소음", "층간"]
PROBE_TEXT = "전세 보증금과 손해 배상"
DIMENSIONS = 16
SHAPE = {"num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 64, "max_position_embeddings": 64}


def tokenizer():
    syllables = sorted({syllable for word in [*WORDS, "과", "을"] for syllable in word})
    vocabulary = list(dict.fromkeys([*SPECIAL, *WORDS, *syllables, *(f"##{syllable}" for syllable in syllables)]))
    made = Tokenizer(models.WordPiece({token: number for number, token in enumerate(vocabulary)}, unk_token="[UNK]"))
    made.normalizer = normalizers.NFC()
    made.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    made.decoder = decoders.WordPiece(cleanup=False)
    made.post_processor = processors.TemplateProcessing(single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)])
    made.add_special_tokens(SPECIAL)
    made.enable_truncation(64)
    return made


class TinySparse(nn.Module):
    """A SPLADE encoder with the graph that ML Commons reads (contract, 1.1)."""

    def __init__(self, vocabulary_size, seed):
        super().__init__()
        torch.manual_seed(seed)
        config = BertConfig(vocab_size=vocabulary_size, hidden_size=32, attn_implementation="eager", **SHAPE)
        self.bert = BertForMaskedLM(config).eval()
        with torch.no_grad():
            self.bert.cls.predictions.decoder.weight.mul_(20)
        keep = torch.ones(vocabulary_size)
        keep[: len(SPECIAL)] = 0
        self.register_buffer("keep", keep)

    def forward(self, texts):
        logits = self.bert(input_ids=texts["input_ids"], attention_mask=texts["attention_mask"]).logits
        weights = torch.log1p(torch.relu(logits)) * texts["attention_mask"].unsqueeze(-1)
        return {"output": weights.amax(dim=1) * self.keep}


class TinyDense(nn.Module):
    """A bi-encoder with mean pooling, as ML Commons reads a sentence_transformers graph (contract, 1.3)."""

    def __init__(self, vocabulary_size):
        super().__init__()
        torch.manual_seed(7)
        self.bert = BertModel(BertConfig(vocab_size=vocabulary_size, hidden_size=DIMENSIONS, attn_implementation="eager", **SHAPE)).eval()

    def forward(self, texts):
        mask = texts["attention_mask"].unsqueeze(-1).float()
        hidden = self.bert(input_ids=texts["input_ids"], attention_mask=texts["attention_mask"]).last_hidden_state
        return {"sentence_embedding": (hidden * mask).sum(dim=1) / mask.sum(dim=1)}


def write_zip(folder, card, entries):
    folder.mkdir(exist_ok=True, parents=True)
    path = folder / f"{card.name}-{card.version}.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in {**entries, CARD_NAME: card.model_dump_json()}.items():
            archive.writestr(name, content)
    return ModelArchive(path=path, card=card, sha256=sha256(path), size_bytes=path.stat().st_size)


def new_name():
    return f"tiny-{uuid.uuid4().hex[:8]}"


def table_of(seed=0):
    return {word: 1.0 + seed / 4 + number / 8 for number, word in enumerate(WORDS)}


def words_archive(folder, *, seed=0, name=None, role="encoder", version=None, form=None):
    """Write a table of words, which no libtorch has to load: a real query zip, and a toy that answers as an encoder does."""
    table, made = table_of(seed), tokenizer()
    expected = {made.decode([token]) for token in made.encode(PROBE_TEXT).ids} - {""}
    card = ExportCard(
        name=name or new_name(),
        version=version or f"{seed:012x}",
        role=role,
        form=form or ("doc-only" if role == "query-tokenizer" else "siamese"),
        function_name="SPARSE_TOKENIZE",
        vocabulary_size=made.get_vocab_size(),
        max_tokens=64,
        heaviest_weight=max(table.values()) if role == "encoder" else None,
        probe_text=PROBE_TEXT,
        probe_weights={token: table.get(token, 1.0) for token in expected},  # the node gives 1 to what the table lacks
        parity={"texts": 1},
        versions={},
    )
    return write_zip(folder, card, {"tokenizer.json": made.to_str(), "idf.json": json.dumps(table, ensure_ascii=False)})


def _traced(folder, model, texts):
    folder.mkdir(exist_ok=True, parents=True)
    path = folder / "model.pt"
    torch.jit.trace(model, (texts,), strict=False).save(path)
    return path.read_bytes()


def _probe():
    encoding = tokenizer().encode(PROBE_TEXT)
    return {"input_ids": torch.tensor([encoding.ids]), "attention_mask": torch.tensor([encoding.attention_mask])}


def sparse_archive(folder, *, seed=0, name=None, graph=None, form="siamese"):
    """Write a zip as `sparse-ko export` does; `graph` replaces the model by any bytes."""
    made, texts = tokenizer(), _probe()
    model = TinySparse(made.get_vocab_size(), seed).eval()
    with torch.no_grad():
        row = model(texts)["output"][0]
    card = ExportCard(
        name=name or new_name(),
        version=f"{seed:012x}",
        form=form,
        vocabulary_size=made.get_vocab_size(),
        max_tokens=64,
        heaviest_weight=float(row.max()),
        probe_text=PROBE_TEXT,
        probe_weights={made.decode([number]): float(row[number]) for number in row.nonzero().flatten().tolist()},
        parity={"texts": 1},
        versions={"torch": torch.__version__},
    )
    return write_zip(folder, card, {"model.pt": graph or _traced(folder, model, texts), "tokenizer.json": made.to_str()})


def dense_archive(folder):
    made, texts = tokenizer(), _probe()
    model = TinyDense(made.get_vocab_size()).eval()
    with torch.no_grad():
        vector = model(texts)["sentence_embedding"][0]
    card = ExportCard(
        name=new_name(),
        version="0" * 12,
        role="dense",
        form="dense",
        function_name="TEXT_EMBEDDING",
        serves=["knn_vector"],
        vocabulary_size=DIMENSIONS,
        max_tokens=64,
        probe_text=PROBE_TEXT,
        probe_vector=[float(number) for number in vector],
        registration={"model_type": "bert", "embedding_dimension": DIMENSIONS, "framework_type": "sentence_transformers"},
        parity={"texts": 1},
        versions={"torch": torch.__version__},
    )
    return write_zip(folder, card, {"model.pt": _traced(folder, model, texts), "tokenizer.json": made.to_str()})


def registered(cluster, archive):
    """Return what `find_models` does, once the model index shows all that was written to it."""
    cluster.request("POST", "/.plugins-ml-model/_refresh", params={"ignore_unavailable": "true"})
    return find_models(cluster, archive)


class Made:
    """What a module's tests put on a cluster, so that all of it goes again."""

    def __init__(self, cluster, folder):
        self.cluster, self.folder = cluster, folder
        self.archives, self.indexes = [], []

    def archive(self, write, **settings):
        made = write(self.folder / str(len(self.archives)), **settings)
        self.archives.append(made)
        return made

    def index(self):
        self.indexes.append(f"test-{uuid.uuid4().hex[:8]}")
        return self.indexes[-1]

    def alias(self):
        """Return a name under which indexes come to be."""
        return self.index()

    def remove(self):
        ours = {index.name for index in our_indexes(self.cluster)}
        under = [name for name in ours if any(name.startswith(f"{alias}-") for alias in self.indexes)]
        for name in {*self.indexes, *under}:
            for one in (name, seismic_name(name)):
                try:
                    self.cluster.request("DELETE", f"/{one}", params={"ignore_unavailable": "true"})
                except ClusterError as failure:
                    assert "matches an alias" in failure.reason  # noqa: PT017  it goes with its index
            if self.cluster.find(f"/_ingest/pipeline/{pipeline_name(name)}"):
                self.cluster.request("DELETE", f"/_ingest/pipeline/{pipeline_name(name)}")
        models = [model.model_id for archive in self.archives for model in registered(self.cluster, archive)]
        if models:
            self.cluster.request("POST", f"{MODELS}/_undeploy", {"model_ids": models})  # all at once: one by one takes a second each
        for model_id in dict.fromkeys(models):
            delete(self.cluster, model_id)
