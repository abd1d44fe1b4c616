"""Negatives that a bi-encoder finds: its own ranking, without the answers, and only where it is sure that they are none."""

from dataclasses import replace

import pytest

from dense_ko.encoder import BiEncoder
from dense_ko.mining import mine_with_model, pairs_of
from dense_ko.retrieval import DenseIndex
from retrieval_ko.pairs.mining import MiningReport, MiningSettings


@pytest.fixture(scope="module")
def encoder(saved):
    return BiEncoder.load(saved / "static", device="cpu")


def by_loop(encoder, collection, text):
    """All passages by cosine, best first."""
    [query] = encoder.encode_queries([text])
    vectors = encoder.encode_passages([passage.passage_text for passage in collection.passages.values()])
    scores = dict(zip(collection.passages, (vectors @ query).tolist(), strict=True))
    return sorted(scores.items(), key=lambda hit: (-hit[1], hit[0]))


def test_negatives_are_the_models_ranking_without_the_answer(encoder, collection):
    index = DenseIndex.of(encoder, collection.passages.values())
    pairs = pairs_of(encoder, collection, "train", index)
    assert [pair.positive_passages for pair in pairs] == [[key] for key in collection.passages]
    report = MiningReport()
    mined = list(mine_with_model(encoder, collection, pairs, MiningSettings(hard=2, random=0, score_share=None), report, index=index))
    for pair in mined:
        expected = [passage for passage, _ in by_loop(encoder, collection, pair.query_text) if passage not in pair.positive_passages]
        assert pair.hard_negatives == expected[:2]
    assert report.hard == 2 * len(pairs)


def test_what_scores_nearly_as_much_as_the_answer_is_held_back(encoder, collection):
    pairs = pairs_of(encoder, collection, "train", DenseIndex.of(encoder, collection.passages.values()))
    share = 0.5
    mined = mine_with_model(encoder, collection, pairs, MiningSettings(hard=4, random=0, score_share=share), MiningReport())
    for pair in mined:
        ranking = dict(by_loop(encoder, collection, pair.query_text))
        limit = share * ranking[pair.positive_passages[0]]
        beyond = {passage for passage, score in ranking.items() if score < limit and passage not in pair.positive_passages}
        assert set(pair.hard_negatives) == beyond


def test_of_a_parent_the_passage_that_the_encoder_likes_best_is_the_positive(encoder, collection):
    passages = {
        key: passage.model_copy(update={"metadata": {"parent_id": "law" if key in ("p1", "p2") else key}})
        for key, passage in collection.passages.items()
    }
    parents = replace(collection, passages=passages, judged="parent", judgements={"train": {"qp1": {"law": 1}, "qp5": {"p5": 1}}})
    pairs = pairs_of(encoder, parents, "train", DenseIndex.of(encoder, passages.values()))
    ranking = [passage for passage, _ in by_loop(encoder, collection, collection.queries["qp1"].text) if passage in ("p1", "p2")]
    assert [pair.positive_passages for pair in pairs] == [[ranking[0]], ["p5"]]
