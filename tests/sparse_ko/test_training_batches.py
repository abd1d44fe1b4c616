"""The batch of a step is a function of seed and step alone, whoever asks for it and however many processes share it."""

from collections import Counter

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from retrieval_ko.records import SynonymPair
from sparse_ko.training.data import synonym_source
from training_ko.batches import BatchOrder, Shares, StepBatches, order_of
from training_ko.collator import Collator
from training_ko.data import Example, Source


class Letters:
    """Tokenises a text into the code points of its letters, padded with 0."""

    def tokenize(self, texts, kind, max_tokens=None):
        texts = [text[:max_tokens] for text in texts]
        width = max(map(len, texts)) + (kind == "query")
        return {"input_ids": torch.tensor([[*map(ord, text), *[0] * (width - len(text))] for text in texts])}


def examples_of(name, count, **more):
    return [Example(f"{name}-q{n}", f"{name} query {n}", f"{name}-p{n // 2}", (f"{name}-p{n // 2}",), **more) for n in range(count)]


def source_of(name, count, weight=1.0, **more):
    return Source(name, examples_of(name, count, **more), text_of=lambda passage: f"text of {passage}", weight=weight)


def batches_of(sources, batch_size=4, steps=100, **more):
    return StepBatches(sources, order_of(sources, batch_size, 5), Collator(Letters()), steps=steps, seed=5, **more)


@given(size=st.integers(1, 60), batch_size=st.integers(2, 20), seed=st.integers(0, 9), epoch=st.integers(0, 3))
@settings(max_examples=60, deadline=None)
def test_an_epoch_of_one_source_shows_every_example_once_in_batches_of_nearly_equal_size(size, batch_size, seed, epoch):
    order = BatchOrder([range(size)], [1.0], batch_size, seed)
    steps = range(epoch * order.steps_per_epoch, (epoch + 1) * order.steps_per_epoch)
    batches = [order.batch(step)[1] for step in steps]
    assert sorted(np.concatenate(batches).tolist()) == list(range(size))
    sizes = {len(batch) for batch in batches}
    assert max(sizes) <= batch_size
    assert max(sizes) - min(sizes) <= 1
    assert order.steps_per_epoch == -(-size // batch_size)


@given(answers=st.lists(st.integers(0, 12), min_size=1, max_size=60), seed=st.integers(0, 9))
@settings(max_examples=60, deadline=None)
def test_examples_with_one_answer_stand_in_different_batches_as_far_as_there_are_so_many(answers, seed):
    order = BatchOrder([answers], [1.0], 8, seed)
    batches = [order.batch(step)[1].tolist() for step in range(order.steps_per_epoch)]
    assert sorted(sum(batches, start=[])) == list(range(len(answers)))  # noqa: RUF017  a few lists
    for answer, count in Counter(answers).items():
        in_batches = [sum(answers[example] == answer for example in batch) for batch in batches]
        assert max(in_batches) == -(-count // len(batches))


def test_epochs_are_shuffled_anew_and_seeds_differ():
    order = BatchOrder([range(64)], [1.0], 64, seed=1)
    orders = [order.batch(0)[1], order.batch(1)[1], BatchOrder([range(64)], [1.0], 64, seed=2).batch(0)[1]]
    assert len({tuple(batch.tolist()) for batch in orders}) == 3


@given(steps=st.lists(st.integers(0, 200), min_size=1, max_size=20))
@settings(max_examples=30, deadline=None)
def test_a_step_is_the_same_whatever_was_asked_before(steps):
    asked = BatchOrder([range(30), range(17)], [1.0, 2.0], 4, seed=3)
    for step in steps:
        fresh = BatchOrder([range(30), range(17)], [1.0, 2.0], 4, seed=3)
        assert asked.batch(step)[0] == fresh.batch(step)[0]
        assert asked.batch(step)[1].tolist() == fresh.batch(step)[1].tolist()


def test_sources_are_drawn_in_proportion_to_weight_times_examples():
    order = BatchOrder([range(300), range(100)], [1.0, 3.0], 10, seed=3)  # 300 : 300 of 30 + 10 batches
    assert order.steps_per_epoch == 40
    assert Counter(order.batch(step)[0] for step in range(40)) == {0: 20, 1: 20}
    seen = Counter(np.concatenate([order.batch(step)[1] for step in range(40) if order.batch(step)[0] == 1]).tolist())
    assert seen == dict.fromkeys(range(100), 2)  # 20 batches of 10 out of 100 examples: twice through, each time all of them


def test_what_an_epoch_leaves_of_a_source_comes_first_in_the_next():
    order = BatchOrder([range(300), range(100)], [3.0, 1.0], 10, seed=3)  # 36 : 4 of 40 batches
    steps = [step for step in range(3 * 40) if order.batch(step)[0] == 1]
    assert len(steps) == 12
    assert sorted(np.concatenate([order.batch(step)[1] for step in steps[:10]]).tolist()) == list(range(100))


def test_a_tiny_source_is_never_left_out():
    order = BatchOrder([range(100_000), range(3)], [1.0, 1.0], 100, seed=3)
    assert Counter(order.batch(step)[0] for step in range(order.steps_per_epoch))[1] == 1


@pytest.mark.parametrize("processes", [2, 3])
def test_the_shares_of_all_processes_are_the_batch_of_one(processes):
    sources = [source_of("a", 23), source_of("b", 9)]
    terms = [SynonymPair(ko=f"말{n}", en=f"word{n}") for n in range(7)]
    whole = batches_of(sources, terms=terms, terms_a_step=5)
    shared = [batches_of(sources, terms=terms, terms_a_step=5, shares=Shares(number, processes)) for number in range(processes)]
    for step in range(12):
        features = [one[step]["features"] for one in shared]
        expected = whole[step]["features"]
        for name in ("queries", "korean", "english"):
            rows = [row for one in features if getattr(one, name) for row in _unpadded(getattr(one, name))]
            assert rows == _unpadded(getattr(expected, name))
        assert set(torch.cat([one.document_keys for one in features]).tolist()) == set(expected.document_keys.tolist())
        keys = [one.document_keys[one.positive].tolist() for one in features]
        assert [key for row in keys for key in row] == expected.document_keys[expected.positive].tolist()


def _unpadded(tokens):
    return [[number for number in row if number] for row in tokens["input_ids"].tolist()]


def test_a_process_may_have_nothing_of_a_small_batch():
    [features] = [batches_of([source_of("a", 2)], shares=Shares(0, 3))[0]["features"]]
    assert features.queries is None
    assert features.documents is None
    assert features.candidates.shape == (0, 0)
    assert features.document_keys.tolist() == []


def test_a_text_stands_once_in_a_batch_and_its_key_says_who_it_answers():
    batches = batches_of([source_of("a", 6)], batch_size=6)
    features = batches[0]["features"]
    assert len(features.document_keys) == 3  # two queries to a passage
    assert len(set(features.document_keys.tolist())) == 3
    assert features.relevant_keys.tolist() == features.document_keys[features.positive].unsqueeze(1).tolist()
    assert (features.document_keys >= 0).all()


def test_queries_are_cut_where_queries_are_cut():
    sources = [source_of("a", 4)]
    features = StepBatches(sources, order_of(sources, 4, 5), Collator(Letters(), 3), steps=1)[0]["features"]
    assert [len(row) for row in _unpadded(features.queries)] == [3] * 4
    assert min(len(row) for row in _unpadded(features.documents)) > 3


def test_negatives_are_drawn_anew_in_each_epoch_and_an_answer_is_none():
    hard = tuple(f"h{n}" for n in range(20))
    example = Example("q", "query", "p", ("p", "h3"), hard, ("r1", "r2", "r3"))
    batches = batches_of([Source("a", [example, example], text_of=str)], batch_size=2, negatives=(5, 2))
    seen = []
    for step in range(30):
        names = batches.ids(step)["passages"]
        assert names[0] == "p"
        assert "h3" not in names
        seen.append(tuple(names))
        features = batches[step]["features"]
        assert features.candidates.shape[0] == 2
        assert all(6 <= (row >= 0).sum() <= 8 for row in features.candidates)  # the positive, 4 or 5 hard, 2 random
        assert features.candidates[:, 0].tolist() == features.positive.tolist()
    assert len(set(seen)) == 30
    assert {name for names in seen for name in names} == {"p", *hard, "r1", "r2", "r3"} - {"h3"}


def test_fewer_negatives_than_asked_for_are_all_taken():
    example = Example("q", "query", "p", ("p",), ("h1", "h2"))
    features = batches_of([Source("a", [example] * 2, text_of=str)], batch_size=2, negatives=(5, 5))[0]["features"]
    assert features.candidates.tolist() == [[0, 1, 2], [0, 1, 2]]


def test_a_teachers_scores_stand_beside_the_candidates():
    example = Example("q", "query", "p", ("p",), ("h1",), scores={"p": 3.5})
    sources = [Source("a", [example] * 2, text_of=str)]
    collator = Collator(Letters(), with_scores=True)
    teacher = StepBatches(sources, order_of(sources, 2, 5), collator, steps=1, negatives=(1, 0))[0]["features"].teacher
    assert teacher[:, 0].tolist() == [3.5, 3.5]
    assert teacher[:, 1].isnan().all()


def test_the_korean_terms_of_one_english_term_are_no_negatives_of_each_other():
    pairs = [SynonymPair(ko="보증금", en="deposit"), SynonymPair(ko="예금", en="deposit"), SynonymPair(ko="백업", en="backup")]
    features = batches_of([synonym_source(pairs)])[0]["features"]
    keys = dict(zip(["".join(map(chr, row)) for row in _unpadded(features.documents)], features.document_keys.tolist(), strict=True))
    asked = ["".join(map(chr, row)) for row in _unpadded(features.queries)]
    for query, row in zip(asked, features.relevant_keys.tolist(), strict=True):
        expected = {keys["보증금"], keys["예금"]} if query == "deposit" else {keys["백업"]}
        assert {key for key in row if key >= 0} == expected
