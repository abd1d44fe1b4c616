"""Sixty passages with weights and vectors that the tests know, on a real node: what every query form is held against."""

import json
import random
import uuid
import zipfile
from contextlib import contextmanager, suppress
from dataclasses import dataclass

import torch
from sentence_transformers import SentenceTransformer, models
from tokenizers import Tokenizer, decoders, normalizers, pre_tokenizers, processors
from tokenizers import models as tokenizer_models
from torch import nn
from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

from opensearch_ko.cluster import Cluster
from opensearch_ko.errors import ClusterError
from opensearch_ko.export.archive import ExportCard, ModelArchive
from opensearch_ko.indexes import DenseReference, IndexMeta, IndexPlan, ModelReference, SeismicSettings, seismic_name
from opensearch_ko.models import delete, deploy, register
from opensearch_ko.queries.folder_reader import dense_reader
from opensearch_ko.queries.query_table import QueryTable
from retrieval_ko.files import sha256

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
WORDS = (
    *("전세", "보증금", "임대차", "계약", "손해", "배상", "근로", "퇴직금", "이혼", "위자료", "상속", "세금", "주택", "소음"),
    *("층간", "해고", "임금", "차임", "연체", "해지", "등기", "매매", "대출", "이자", "담보", "채권", "채무", "파산", "회생"),
    *("소송", "판결", "항소", "증거", "증인", "변호사", "계좌", "사기", "절도", "폭행", "교통"),
)
DIMENSIONS = 16
RARE_LAW, COMMON_LAW = "상법", "민법"
QUERY = "전세 보증금 손해 배상"


def words(text):
    """Stand in for Kiwi's content terms."""
    return text.split()


def tokenizer():
    vocabulary = {token: number for number, token in enumerate([*SPECIAL, *WORDS, "##은", "##을"])}
    made = Tokenizer(tokenizer_models.WordPiece(vocabulary, unk_token="[UNK]"))
    made.normalizer = normalizers.NFC()
    made.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    made.decoder = decoders.WordPiece(cleanup=False)
    made.post_processor = processors.TemplateProcessing(single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)])
    made.add_special_tokens(SPECIAL)
    made.enable_truncation(32)
    return made


def write_query_zip(path):
    """Write a SPARSE_TOKENIZE zip; 교통 is missing from its table, and so weighs 1."""
    draw = random.Random(1)
    table = {token: round(draw.uniform(0.5, 4.0), 3) for token in WORDS if token != "교통"}
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("tokenizer.json", tokenizer().to_str())
        archive.writestr("idf.json", json.dumps(table, ensure_ascii=False))
    return path


def write_dense_folder(folder):
    """Save a stock sentence-transformers bi-encoder with random weights."""
    torch.manual_seed(7)
    shape = {"hidden_size": DIMENSIONS, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
    config = BertConfig(vocab_size=tokenizer().get_vocab_size(), max_position_embeddings=64, attn_implementation="eager", **shape)
    body = folder / "body"
    BertModel(config).save_pretrained(body)
    special = {f"{token[1:-1].lower()}_token": token for token in SPECIAL}
    PreTrainedTokenizerFast(tokenizer_object=tokenizer(), model_max_length=32, **special).save_pretrained(body)
    transformer = models.Transformer(str(body), max_seq_length=32)
    stock = SentenceTransformer(modules=[transformer, models.Pooling(DIMENSIONS, pooling_mode="mean")], device="cpu")
    stock.save(str(folder / "dense"))
    return folder / "dense"


class _DenseGraph(nn.Module):
    """The dict in, `sentence_embedding` out, as ML Commons reads it (contract, 1.3)."""

    def __init__(self, stock):
        super().__init__()
        self.stock = stock

    def forward(self, texts):
        embedded = self.stock({"input_ids": texts["input_ids"], "attention_mask": texts["attention_mask"]})
        return {"sentence_embedding": embedded["sentence_embedding"]}


def write_dense_zip(folder, path):
    stock = SentenceTransformer(str(folder), device="cpu").eval()
    encoding = tokenizer().encode(QUERY)
    texts = {"input_ids": torch.tensor([encoding.ids]), "attention_mask": torch.tensor([encoding.attention_mask])}
    with torch.no_grad():
        torch.jit.trace(_DenseGraph(stock).eval(), (texts,), strict=False, check_trace=False).save(path.with_suffix(".pt"))
    with zipfile.ZipFile(path, "w") as archive:
        archive.write(path.with_suffix(".pt"), "model.pt")
        archive.writestr("tokenizer.json", tokenizer().to_str())
    return path


def archive_of(path, **card):
    facts = {"name": f"queries-{uuid.uuid4().hex[:8]}", "version": "0" * 12, "vocabulary_size": 47, "max_tokens": 32}
    card = ExportCard(**facts, probe_text=QUERY, parity={}, versions={}, **card)
    return ModelArchive(path=path, card=card, sha256=sha256(path), size_bytes=path.stat().st_size)


@dataclass
class Searched:
    """An index, what stands in it, and what reads queries on this machine."""

    cluster: Cluster
    index: str
    meta: IndexMeta
    passages: dict[str, dict]
    reader: QueryTable
    embed: object
    query_zip: object
    dense_folder: object


def make_passages(embed):
    """Return id → the fields of each passage, drawn with a fixed seed; ids rise in the order they are written in."""
    draw = random.Random(3)
    passages = {}
    for number in range(60):
        text = " ".join(draw.choices(WORDS, k=draw.randint(4, 12)))
        weights = {token: round(draw.uniform(0.1, 2.5), 4) for token in dict.fromkeys([*text.split(), *draw.sample(WORDS, 3)])}
        law = RARE_LAW if number % 12 == 5 else COMMON_LAW
        fields = {
            "title": f"제{number}조",
            "text": text,
            "passage": text,
            "morphemes": text,
            "metadata": {"law": law, "number": str(number)},
        }
        passages[f"p{number:02}"] = fields | {"sparse": weights, "dense": embed(text)}
    return passages


def fill(cluster, index, rows):
    lines = []
    for passage, fields in rows.items():
        lines += [json.dumps({"index": {"_index": index, "_id": passage}}), json.dumps(fields, ensure_ascii=False)]
    answer = cluster.request("POST", "/_bulk", "\n".join(lines) + "\n", params={"refresh": "true", "pipeline": "_none"})
    assert not answer["errors"], answer["items"][0]


def companion_rows(passages, ids):
    return {
        passage: {name: fields[name] for name in ("title", "text", "metadata")}
        | {"sparse": {str(ids[token]): weight for token, weight in fields["sparse"].items()}}
        for passage, fields in passages.items()
    }


@contextmanager
def searched_index(cluster, folder):
    """Make index, companion and two deployed models; delete them all when the block ends."""
    index = f"queries-{uuid.uuid4().hex[:8]}"
    query_zip = write_query_zip(folder / "query.zip")
    dense_folder = write_dense_folder(folder)
    embed = dense_reader(dense_folder)
    model_ids = []
    try:
        for archive in (
            archive_of(query_zip, role="query-tokenizer", form="doc-only", function_name="SPARSE_TOKENIZE"),
            archive_of(
                write_dense_zip(dense_folder, folder / "dense.zip"),
                role="dense",
                form="dense",
                function_name="TEXT_EMBEDDING",
                registration={
                    "model_type": "bert",
                    "embedding_dimension": DIMENSIONS,
                    "framework_type": "sentence_transformers",
                    "all_config": "{}",
                },
            ),
        ):
            model_ids.append(register(cluster, archive))
            deploy(cluster, model_ids[-1])
        names = {"name": "tiny", "version": "0" * 12, "fingerprint": "0" * 16}
        meta = IndexMeta(
            form="doc-only",
            encoder=ModelReference(model_id="", **names),
            query=ModelReference(model_id=model_ids[0], **names),
            dense=DenseReference(model_id=model_ids[1], dimension=DIMENSIONS, **names),
            seismic=SeismicSettings(approximate_threshold=1, summary_prune_ratio=1.0, quantization_ceiling_search=4.0),
        )
        plan = IndexPlan(index, meta)
        body = plan.body()
        del body["settings"]["index"]["default_pipeline"]
        cluster.request("PUT", f"/{index}", body)
        cluster.request("PUT", f"/{seismic_name(index)}", plan.seismic_body())
        passages = make_passages(embed)
        fill(cluster, index, passages)
        fill(cluster, seismic_name(index), companion_rows(passages, tokenizer().get_vocab()))
        yield Searched(cluster, index, meta, passages, QueryTable.read(query_zip), embed, query_zip, dense_folder)
    finally:
        for name in (seismic_name(index), index):
            cluster.request("DELETE", f"/{name}", params={"ignore_unavailable": "true"})
        for name in cluster.find(f"/_search/pipeline/{index}-*") or {}:
            cluster.request("DELETE", f"/_search/pipeline/{name}")
        for model_id in model_ids:
            with suppress(ClusterError):
                delete(cluster, model_id)
