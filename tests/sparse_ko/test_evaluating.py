"""What is said of an encoder is what its vectors hold: counted again here, by hand or by a plain formula."""

import json

import numpy as np
import pytest
from scipy.sparse import csr_matrix

from retrieval_ko.errors import DataError
from retrieval_ko.evaluation.baselines import Baseline
from retrieval_ko.evaluation.identity import texts_hash
from retrieval_ko.records import SynonymPair
from sparse_ko.evaluation import evaluate_encoder, measure_encoder
from sparse_ko.evaluation.encoded_passages import EncodedPassages
from sparse_ko.evaluation.evaluating import EvaluationSettings, evaluate_models
from sparse_ko.evaluation.failures import losses_and_wins
from sparse_ko.evaluation.latency import percentiles
from sparse_ko.evaluation.translation import translate, translation_facts
from sparse_ko.evaluation.weight_statistics import (
    dimensions,
    function_share,
    function_share_of_pieces,
    share_over_limit,
    top_terms,
)

PAIRS = [SynonymPair(ko="보증금", en="deposit"), SynonymPair(ko="임대인", en="landlord"), SynonymPair(ko="도서관", en="library")]


@pytest.fixture(scope="module")
def encoder(untrained):
    return untrained["static"]


@pytest.fixture(scope="module")
def measured(encoder, collection):
    return measure_encoder(encoder, "sparse-tiny", collection, "dev", depth=1000)


@pytest.fixture(scope="module")
def saved(encoder, collection, tmp_path_factory):
    """The model's folder and the collection's."""
    folder = tmp_path_factory.mktemp("evaluating")
    encoder.save(folder / "model")
    collection.write(folder / "collection")
    return folder


def test_dimensions_and_top_terms_by_hand():
    weights = csr_matrix([[1.0, 2, 0, 0], [3, 0, 0, 0], [1, 1, 1, 0], [0, 0, 0, 0]])
    assert dimensions(weights) == {"mean": 1.5, "p10": pytest.approx(0.3), "p50": 1.5, "p90": pytest.approx(2.7), "max": 3}
    assert top_terms(weights, ["a", "c", "b", "d"], 3) == [("a", 3 / 4), ("c", 2 / 4), ("b", 1 / 4)]
    assert dimensions(csr_matrix((0, 4)))["mean"] == 0


def test_the_share_on_particles_by_hand():
    weights = csr_matrix([[1.0, 2, 0, 1], [3, 0, 2, 1]])  # 4, 2, 2 and 2 of ten
    assert function_share(weights, np.array([0.5, 1, 0, np.nan])) == (pytest.approx((4 * 0.5 + 2) / 10), pytest.approx(0.2))
    assert function_share(csr_matrix((2, 4)), np.zeros(4)) == (0, 0)


def test_a_piece_is_a_particle_where_the_text_uses_it_as_one(encoder, texts):
    tokenizer = encoder.tokenizer
    shares = function_share_of_pieces(tokenizer, texts)
    assert set(shares[tokenizer.all_special_ids]) == {0.0}
    of = {token: shares[number] for token, number in tokenizer.get_vocab().items()}
    assert of["보증금"] == 0
    assert of["##은"] == 1
    assert of["##을"] == 1
    assert of["을"] == of["##을"]  # never used: that of its twin
    assert np.isnan(of["landlord"])


def test_texts_over_the_limit_are_counted(encoder):
    assert share_over_limit(encoder.tokenizer, ["보증금", "보증금 " * 200, "", "가 " * 300], 64) == 0.5


def test_percentiles_are_milliseconds():
    assert percentiles([0.001, 0.002, 0.003]) == {"p50": 2, "p90": pytest.approx(2.8), "p99": pytest.approx(2.98)}


def test_a_row_holds_the_encoders_own_numbers(measured, encoder, collection):
    result = evaluate_encoder(encoder, "sparse-tiny", collection, "dev")
    assert result.scores.by_query["ndcg@10"] == measured.result.scores.by_query["ndcg@10"]
    dense = measured.index.weights.toarray()
    assert result.facts["doc_dims"] == pytest.approx((dense > 0).sum(axis=1).mean())
    assert list(measured.queries) == list(collection.relevant("dev"))
    assert measured.passages_per_second > 0


def test_kept_weights_are_the_same_to_the_last_bit_and_need_no_encoder(saved, encoder, collection, measured, tmp_path):
    kept = EncodedPassages(tmp_path, saved / "model", texts_hash(collection))
    assert kept.load() is None
    first = measure_encoder(encoder, "x", collection, "dev", kept=kept)
    told = []
    second = measure_encoder(encoder, "x", collection, "dev", kept=kept, on_progress=told.append)
    assert told == []
    assert second.passages_per_second is None
    assert second.result.scores == first.result.scores
    assert (second.index.weights != measured.index.weights).nnz == 0
    with np.load(kept.path, allow_pickle=False) as parts:
        assert json.loads(parts["ids"].tobytes()) == list(collection.passages)


def test_kept_weights_belong_to_one_model_and_one_text(saved, collection, tmp_path):
    paths = {
        EncodedPassages(tmp_path, saved / "model", texts_hash(collection)).path,
        EncodedPassages(tmp_path, saved / "model", "0" * 64).path,
        EncodedPassages(tmp_path, saved / "collection", texts_hash(collection)).path,
    }
    assert len(paths) == 3


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 not a zip", b"\x93NUMPY"])
def test_damaged_kept_weights_are_named(saved, tmp_path, content):
    kept = EncodedPassages(tmp_path, saved / "model", "0" * 64)
    kept.path.write_bytes(content)
    with pytest.raises(DataError, match="are damaged"):
        kept.load()


def test_losses_and_wins_are_those_of_the_values_and_their_terms_add_up(measured, collection):
    own = measured.result.scores.by_query["ndcg@10"]
    other = {query: 1 - value for query, value in own.items()}
    baseline = type(measured.result)("bm25-x", type(measured.result.scores)({}, {"ndcg@10": other}), {}, measured.result.top)
    found = losses_and_wins(measured, baseline, collection, "dev", size=2)
    differences = {query: own[query] - other[query] for query in own}
    for case in found["wins"]:
        assert differences[case["query_id"]] == max(differences.values())
        best = case["terms"][0]
        assert best["role"] == "relevant"
        [vector] = measured.encoder.encode_query([case["query"]]).toarray()
        [passage] = measured.encoder.encode_document([collection.passages[best["id"]].passage_text]).toarray()
        assert best["score"] == pytest.approx(vector @ passage, abs=2e-3)
        assert sum(asked * offered for _, asked, offered in best["terms"]) <= best["score"] + 0.01
        assert [hit["relevant"] for hit in case["top"]["sparse-tiny"]].count(True) == 1
        if len(case["terms"]) > 1:
            assert case["terms"][1]["id"] not in collection.relevant("dev")[case["query_id"]]
    assert all(differences[case["query_id"]] < 0 for case in found["losses"])


def test_translation_by_plain_formulas(encoder):
    rows = translate(encoder, PAIRS)
    korean = encoder.encode_document([pair.ko for pair in PAIRS]).toarray()
    english = encoder.encode_document([pair.en for pair in PAIRS]).toarray()
    scores = encoder.encode_query([pair.ko for pair in PAIRS]).toarray() @ english.T
    for number, row in enumerate(rows):
        cosines = english @ korean[number] / np.linalg.norm(english, axis=1) / np.linalg.norm(korean[number])
        assert row.cosine == pytest.approx(cosines[number], abs=1e-5)
        others = [cosines[other] for other in range(3) if other != number]
        assert min(abs(row.control_cosine - other) for other in others) < 1e-5
        assert row.english_rank == 1 + (scores[number] > scores[number, number]).sum()
        assert row.pair.en in row.english_terms  # drawn together before training
        assert row.pair.ko in row.korean_terms
    facts = translation_facts(encoder, rows)
    assert facts["korean_to_english"]["mrr"] == pytest.approx(np.mean([1 / row.english_rank for row in rows]), abs=1e-4)
    assert facts["above_control"] == 1
    assert facts["translation_in_top"]["korean_to_english"]["10"] == {"all": 1.0, "any": 1.0}


def test_a_term_that_shares_nothing_with_its_translation_is_not_found(encoder):
    pairs = [*PAIRS, SynonymPair(ko="도서관", en="📚")]  # an emoji is [UNK], whose weight is 0
    *_, last = translate(encoder, pairs)
    assert (last.cosine, last.english_rank, last.korean_rank, last.korean_terms) == (0, None, None, [])
    with pytest.raises(DataError, match="two pairs"):
        translate(encoder, pairs[:1])


def test_a_whole_evaluation(saved, collection):
    models = {"sparse-a": saved / "model", "sparse-b": saved / "model"}
    settings = EvaluationSettings(split="dev", baselines=[Baseline.BIGRAM], synonyms=PAIRS, workers=2)
    told = []
    found = evaluate_models(models, saved / "collection", collection, settings, on_progress=lambda *step: told.append(step))
    report = found.report
    json.dumps(report)
    assert [row["system"] for row in report["systems"]] == ["bm25-bigram", "bm25-bigram-0.9-0.4", "sparse-a", "sparse-b"]
    first, second = report["systems"][2:]
    assert first["ndcg@10"] == second["ndcg@10"]
    assert {"dims", "top_terms", "function_share", "over_limit", "latency", "flops", "ndcg@10_interval", "groups"} <= first.keys()
    assert report["comparisons"][-1]["p_holm"] == 1.0  # a model against itself
    assert {"losses", "wins", "against"} == report["cases"]["sparse-a"].keys()
    assert report["synonyms"]["sparse-b"]["pairs"] == 3
    assert found.synonym_lines["sparse-a"][1].split("\t")[:2] == ["보증금", "deposit"]
    assert found.dimensions["sparse-a"]["passages"].size == len(collection.passages)
    assert {name for name, _, _ in told} == {"bm25-bigram", "sparse-a", "sparse-b"}
    assert all(done <= total == len(collection.passages) for _, done, total in told)
