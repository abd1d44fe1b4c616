"""What of a passage goes where: fields, pruning, token ids, and requests of a size that every cluster takes."""

import json
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from word_model import TABLE, WordEncoder

from opensearch_ko.indexes import DenseReference, IndexMeta, ModelReference, SeismicSettings
from opensearch_ko.ingest import Corpus
from opensearch_ko.ingest.documents import CHUNK_BYTES, CLIENT_CHUNK, CLUSTER_CHUNK, WINDOW, DocumentWriter
from opensearch_ko.pruning import Pruning
from retrieval_ko.collection import Collection, sample_folder
from retrieval_ko.errors import DataError, UsageError
from retrieval_ko.records import Passage

MODEL = {"model_id": "m", "name": "words", "version": "0" * 12, "fingerprint": "f"}
DENSE = DenseReference(**MODEL, dimension=2)
PASSAGE = Passage(id="a", title="전세", text="전세 보증금 퇴직금", metadata={"law": "민법"})


def writer(encoder=None, **settings):
    return DocumentWriter("demo", IndexMeta(encoder=ModelReference(**MODEL), **settings), encoder)


def rows(made, *passages):
    """Return action and document of every bulk line pair."""
    cut = [(place, passage, passage.text.split()) for place, passage in enumerate(passages)]
    lines = [json.loads(line) for chunk in made.chunks(cut) for action in chunk.actions for line in action.lines.splitlines()]
    return list(zip(lines[::2], lines[1::2], strict=True))


def test_the_cluster_gets_what_its_pipeline_and_bm25_read():
    [(action, document)] = rows(writer(), PASSAGE)
    assert action == {"index": {"_index": "demo", "_id": "a"}}
    assert document == {
        "title": "전세",
        "text": "전세 보증금 퇴직금",
        "metadata": {"law": "민법"},
        "passage": "전세\n전세 보증금 퇴직금",
        "morphemes": "전세 보증금 퇴직금",
    }


def test_weights_of_the_client_are_pruned_as_the_index_says():
    [(_, document)] = rows(writer(WordEncoder(TABLE), pruning=Pruning(type="top_k", ratio=2)), PASSAGE)
    assert document["sparse"] == {"보증금": TABLE["보증금"], "퇴직금": TABLE["퇴직금"]}


def test_the_companion_gets_the_same_weights_by_id():
    encoder = WordEncoder(TABLE)
    (_, document), (action, companion) = rows(
        writer(encoder, seismic=SeismicSettings(), pruning=Pruning(type="max_ratio", ratio=0.6)), PASSAGE
    )
    assert action == {"index": {"_index": "demo-seismic", "_id": "a"}}
    assert companion.keys() == {"title", "text", "metadata", "sparse"}
    assert companion["sparse"] == {str(encoder.ids(token)): weight for token, weight in document["sparse"].items()}
    assert 0 < len(document["sparse"]) < 3


def test_where_tokens_are_spelt_alike_only_the_companion_has_weights():
    (_, document), (_, companion) = rows(writer(WordEncoder(TABLE), seismic=SeismicSettings(), by_token=False), PASSAGE)
    assert "sparse" not in document
    assert len(companion["sparse"]) == 3


def test_the_companion_of_a_cluster_that_encodes_names_its_pipeline():
    _, (action, companion) = rows(writer(seismic=SeismicSettings()), PASSAGE)
    assert action["index"]["pipeline"] == "demo-seismic-ingest"
    assert companion["passage"] == PASSAGE.passage_text


def test_an_id_beyond_what_seismic_takes_names_token_and_passage():
    encoder = WordEncoder(TABLE)
    encoder.ids = lambda token: 40_000
    with pytest.raises(DataError, match=r"passage a has the token '전세' \(id 40000\)"):
        rows(writer(encoder, seismic=SeismicSettings()), PASSAGE)


def test_vectors_stand_in_the_dense_field():
    [(_, document)] = rows(writer(WordEncoder(TABLE, vector=[0.5, -0.25]), dense=DENSE), PASSAGE)
    assert document["dense"] == [0.5, -0.25]


def test_a_dense_field_without_a_dense_model_is_refused_before_anything_is_sent():
    with pytest.raises(UsageError, match="dense field") as refusal:
        writer(WordEncoder(TABLE), dense=DENSE)
    assert "--dense" in refusal.value.remedy


@pytest.mark.parametrize("vector", [[0.5], [0.5, float("nan")]])
def test_a_vector_that_cannot_be_stored_names_its_passage(vector):
    with pytest.raises(DataError, match="passage a a vector"):
        rows(writer(WordEncoder(TABLE, vector=vector), dense=DENSE), PASSAGE)


@pytest.mark.parametrize("weight", [float("nan"), float("inf"), -0.5])
def test_a_weight_that_cannot_be_stored_names_its_passage(weight):
    with pytest.raises(DataError, match="passage a weights"):
        rows(writer(WordEncoder(TABLE | {"전세": weight})), PASSAGE)


def test_a_weight_of_zero_is_left_out():
    [(_, document)] = rows(writer(WordEncoder(TABLE | {"전세": 0.0})), PASSAGE)
    assert "전세" not in document["sparse"]


@pytest.mark.parametrize(("encoder", "most"), [(None, CLUSTER_CHUNK), (WordEncoder(TABLE), CLIENT_CHUNK)])
def test_every_passage_is_in_one_request_of_no_more_than_so_many(encoder, most):
    passages = [(place, Passage(id=str(place), text="전세"), []) for place in range(WINDOW + 5)]
    chunks = list(writer(encoder).chunks(passages))
    assert [action.place for chunk in chunks for action in chunk.actions] == list(range(WINDOW + 5))
    assert {len(chunk.places) for chunk in chunks[:-1]} == {most}
    if encoder:
        assert encoder.calls == [WINDOW, 5]


def test_long_passages_share_a_request_only_up_to_its_limit():
    long = "가" * 900_000
    chunks = list(writer().chunks((place, Passage(id=str(place), text=long), [long]) for place in range(4)))
    sizes = [sum(len(action.lines) for action in chunk.actions) for chunk in chunks]
    assert len(chunks) > 1
    assert all(size <= CHUNK_BYTES or len(chunk.places) == 1 for size, chunk in zip(sizes, chunks, strict=True))


@pytest.mark.parametrize(
    ("broken", "words"), [(Passage(id="가" * 200, text="x"), "600 bytes"), (Passage(id="s", text="\ud800"), "half a char")]
)
def test_a_passage_that_no_request_can_hold_does_not_keep_the_others_out(broken, words):
    [chunk] = writer().chunks([(0, PASSAGE, []), (1, broken, []), (2, PASSAGE, [])])
    assert chunk.places == {0, 2}
    assert words in chunk.refused[1]["reason"]


def test_a_corpus_is_read_as_the_collection_is():
    corpus = Corpus.check(sample_folder())
    assert list(corpus) == list(Collection.read(sample_folder()).passages.values())
    assert len(corpus) == len(list(corpus))


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ('{"_id": "a", "text": "again"}', "line 2: the _id 'a' was used before, in line 1"),
        ('{"_id": "b", "text": " "}', "line 2: the text of 'b' is empty"),
        ('{"_id": "b"}', "line 2: text"),
        ("[]", "line 2: expected a JSON object"),
    ],
)
def test_a_damaged_corpus_is_named_before_anything_is_sent(tmp_path, line, words):
    (tmp_path / "corpus.jsonl").write_text(f'{{"_id": "a", "text": "one"}}\n{line}\n', encoding="utf-8")
    with pytest.raises(DataError, match=words):
        Corpus.check(tmp_path)


@pytest.mark.parametrize(("make", "words"), [(False, "no collection folder"), (True, "is empty")])
def test_a_missing_corpus_says_what_a_collection_is(tmp_path, make, words):
    if make:
        (tmp_path / "corpus.jsonl").write_text("\n")
    with pytest.raises(DataError, match=words):
        Corpus.check(tmp_path if make else tmp_path / "nowhere")
