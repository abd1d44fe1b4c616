"""A bi-encoder's rows: its scores by a loop, by type of document, and what its template is worth."""

import numpy as np
import pytest

from dense_ko.encoder import BiEncoder
from dense_ko.evaluation.evaluating import EvaluationSettings, evaluate_models, queries_by_type
from retrieval_ko.collection import Collection
from retrieval_ko.errors import DataError, UsageError
from retrieval_ko.evaluation.baselines import Baseline

TYPES = {"p1": "law", "p2": "law", "p3": "rule", "p4": "law", "p5": "rule"}


@pytest.fixture(scope="module")
def typed(collection, tmp_path_factory):
    """The tiny collection with types, on disk and read."""
    passages = {key: passage.model_copy(update={"metadata": {"type": TYPES[key]}}) for key, passage in collection.passages.items()}
    judgements = {"dev": {**collection.judgements["train"], "qp1": {"p1": 2, "p3": 1}}}
    folder = tmp_path_factory.mktemp("collections") / "typed"
    Collection("typed", passages, collection.queries, judgements).write(folder)
    return folder, Collection.read(folder)


@pytest.fixture(scope="module")
def found(typed, saved):
    settings = EvaluationSettings(baselines=[Baseline.WHITESPACE], by_type=True, ablate_template=True, depth=100)
    return evaluate_models({"dense-mini": str(saved / "mini")}, *typed, settings)


def test_the_row_is_what_a_loop_finds(found, typed, saved):
    """MRR of the first answer by plain cosines."""
    _, collection = typed
    encoder = BiEncoder.load(saved / "mini")
    vectors = encoder.encode_passages([passage.passage_text for passage in collection.passages.values()])
    places = []
    for query, answers in collection.relevant("dev").items():
        [vector] = encoder.encode_queries([collection.queries[query].text])
        order = [list(collection.passages)[row] for row in np.argsort(-(vectors @ vector))]
        places.append(1 + min(order.index(answer) for answer in answers))
    row = next(row for row in found.report["systems"] if row["system"] == "dense-mini")
    assert row["mrr@10"] == pytest.approx(np.mean([1 / place for place in places]), abs=1e-4)
    assert row["mrr@1"] == pytest.approx(np.mean([place == 1 for place in places]), abs=1e-4)
    assert {f"{metric}@{places}" for metric in ("ndcg", "mrr", "recall", "map") for places in (1, 3, 5, 10)} <= row.keys()


def test_bm25_stands_beside_it(found):
    assert [row["system"] for row in found.report["systems"]] == [
        "bm25-whitespace",
        "bm25-whitespace-0.9-0.4",
        "dense-mini",
        "dense-mini-no-template",
    ]
    assert found.report["best_bm25"].startswith("bm25-whitespace")


def test_a_query_with_answers_of_two_types_stands_with_both(found, typed):
    groups = {"law": ["qp1", "qp2", "qp4"], "rule": ["qp1", "qp3", "qp5"]}
    assert queries_by_type(typed[1], "dev") == groups
    assert found.report["groups"]["type"] == {"law": 3, "rule": 3}
    dense = next(result for result in found.results if result.system == "dense-mini")
    row = next(row for row in found.report["systems"] if row["system"] == "dense-mini")
    for name, queries in groups.items():
        mean = np.mean([dense.scores.by_query["ndcg@10"][query] for query in queries])
        assert row["groups"]["type"][name] == pytest.approx(mean, abs=1e-4)


def test_the_ablation_compares_the_two_rows(found):
    [ablation] = found.report["template_ablation"]
    rows = {row["system"]: row for row in found.report["systems"]}
    assert (ablation["system"], ablation["template"]) == ("dense-mini", "e5")
    assert rows["dense-mini-no-template"]["template"] == "none"
    assert (ablation["with"], ablation["without"]) == (rows["dense-mini"]["ndcg@10"], rows["dense-mini-no-template"]["ndcg@10"])
    assert ablation["difference"] == pytest.approx(ablation["with"] - ablation["without"], abs=2e-4)


def test_what_cannot_be_measured_is_said_before_the_work(typed, saved, collection):
    folder, read = typed
    with pytest.raises(UsageError, match="no template to leave out"):
        evaluate_models({"static": str(saved / "static")}, folder, read, EvaluationSettings(baselines=[], ablate_template=True))
    with pytest.raises(DataError, match=r"metadata\.type"):
        queries_by_type(collection, "train")
