"""The loss, the sparsity and the gradients of a batch do not depend on chunks or on the number of processes."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))
from small_batch import BATCH, SYNONYMS, SmallEncoder, loss_of, share, step, teacher_of, tokenised  # noqa: E402
from whole_batch_process import CASES, CHUNK_SIZES, LOSSES  # noqa: E402

from retrieval_ko.errors import DataError  # noqa: E402
from training_ko.losses import Embedded, WholeBatch  # noqa: E402


def by_hand(loss, synonyms=SYNONYMS):
    """One forward and one backward pass over the batch, put together with lists."""
    encoder = SmallEncoder()
    keys = list(dict.fromkeys(key for _, own, _ in BATCH for key in own))
    width = max(len(own) for _, own, _ in BATCH)
    candidates = [[keys.index(key) for key in own] + [-1] * (width - len(own)) for _, own, _ in BATCH]
    teacher = [[teacher_of(query, key) for key in own] + [float("nan")] * (width - len(own)) for query, own, _ in BATCH]
    relevant = [[key in known or key == own[0] for key in keys] for _, own, known in BATCH]
    parts = loss(
        Embedded(
            queries=encoder.embed(tokenised([query for query, _, _ in BATCH]), "query"),
            documents=encoder.embed(tokenised(keys), "document"),
            positive=torch.tensor([row[0] for row in candidates]),
            candidates=torch.tensor(candidates),
            relevant=torch.tensor(relevant),
            teacher=torch.tensor(teacher, dtype=torch.float64),
            korean=encoder.embed(tokenised([ko for ko, _ in synonyms]), "document") if synonyms else None,
            english=encoder.embed(tokenised([en for _, en in synonyms]), "document") if synonyms else None,
        )
    )
    parts.total.backward()
    return parts, {name: parameter.grad for name, parameter in encoder.named_parameters() if parameter.grad is not None}


def assert_same(parts, gradients, expected_parts, expected_gradients):
    assert float(parts.total) == pytest.approx(float(expected_parts.total), rel=1e-9)
    assert parts.figures == expected_parts.figures
    assert parts.parts.keys() == expected_parts.parts.keys()
    for name, part in parts.parts.items():
        assert tuple(part) == pytest.approx(tuple(expected_parts.parts[name]), rel=1e-9)
    assert_same_gradients(gradients, expected_gradients)


def assert_same_gradients(gradients, expected):
    assert gradients.keys() == expected.keys()
    assert "never_used" not in gradients
    for name, gradient in gradients.items():
        assert torch.allclose(gradient, expected[name], rtol=1e-6, atol=1e-12), name
        assert gradient.abs().max() > 1e-3, name


@pytest.mark.parametrize("chunk_size", [1, 2, 3, 100, None])
@pytest.mark.parametrize("losses", LOSSES.values(), ids=LOSSES)
def test_chunks_change_nothing(losses, chunk_size):
    parts, gradients, _ = step(share(), loss_of(*losses), chunk_size)
    assert_same(parts, gradients, *by_hand(loss_of(*losses)))


def test_documents_that_come_twice_count_once():
    twice = share()
    more = {name: torch.cat([rows, rows[:4]]) for name, rows in twice.documents.items()}
    keys = torch.cat([twice.document_keys, twice.document_keys[:4]])
    positive = twice.positive + len(twice.document_keys) * (twice.positive < 4)  # the second copy, where there are two
    features = replace(twice, documents=more, document_keys=keys, positive=positive)
    for chunk_size in (None, 2):
        parts, gradients, _ = step(features, loss_of(), chunk_size)
        assert_same(parts, gradients, *by_hand(loss_of()))


@pytest.mark.parametrize("chunk_size", [2, 4])
def test_dropout_is_the_same_the_second_time(chunk_size):
    """Gradients of a chunked step against one graph over the same chunks in the same order, from the same seed."""
    parts, gradients, chunked = step(share(), loss_of(), chunk_size, dropout=0.4)  # making the encoder sets the seed
    after = torch.rand(1)

    class InChunks(SmallEncoder):
        def embed(self, texts, kind):
            starts = range(0, len(texts["input_ids"]), chunk_size)
            pieces = [{name: rows[start : start + chunk_size] for name, rows in texts.items()} for start in starts]
            return torch.cat([SmallEncoder.embed(self, piece, kind) for piece in pieces])

    encoder = InChunks(0.4)
    whole = WholeBatch(encoder.embed, loss_of(), None, list(encoder.parameters()))
    expected = whole.step(share(), lambda scalar: scalar.backward())
    assert float(parts.total) == pytest.approx(float(expected.total), rel=1e-9)
    assert_same_gradients(gradients, {name: p.grad for name, p in encoder.named_parameters() if p.grad is not None})
    assert torch.equal(after, torch.rand(1))  # and nothing more is drawn than one pass draws
    assert chunked.calls > encoder.calls


def test_a_batch_without_pairs_or_queries_is_a_batch():
    parts, gradients, _ = step(share(synonyms=[]), loss_of())
    assert parts.parts["synonyms"] == (0.0, 0.0)
    assert_same(parts, gradients, *by_hand(loss_of(), synonyms=[]))
    parts, gradients, _ = step(share(rows=[]), loss_of())
    assert parts.parts["ranking"].value == 0
    assert parts.parts["synonyms"].share == 1
    assert all(gradient.isfinite().all() for gradient in gradients.values())
    parts, gradients, _ = step(share(rows=[], synonyms=[]), loss_of())
    assert float(parts.total) == 0
    assert not gradients


def test_texts_of_padding_alone_give_numbers():
    features = share()
    features.documents["attention_mask"][2] = 0
    features.queries["attention_mask"][0] = 0
    features.korean["attention_mask"][:] = 0
    parts, gradients, _ = step(features, loss_of(), 2)
    assert parts.total.isfinite()
    assert all(gradient.isfinite().all() for gradient in gradients.values())


def test_a_teacher_that_is_missing_is_said():
    with pytest.raises(DataError, match="teacher"):
        step(share(teacher=False), loss_of("kl"))


def test_the_scale_of_a_loss_scaler_reaches_the_gradients():
    encoder = SmallEncoder()
    whole = WholeBatch(encoder.embed, loss_of(), 2, list(encoder.parameters()))
    whole.step(share(), lambda scalar: (8 * scalar).backward())
    _, expected = by_hand(loss_of())
    assert_same_gradients({name: p.grad / 8 for name, p in encoder.named_parameters() if p.grad is not None}, expected)


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory):
    """What two processes got, each in turn."""
    folder = tmp_path_factory.mktemp("processes")
    script = HERE / "whole_batch_process.py"
    processes = [
        subprocess.Popen(
            [sys.executable, str(script), str(rank), str(folder / "store"), str(folder / f"{rank}.pt")], stderr=subprocess.PIPE, text=True
        )
        for rank in range(2)
    ]
    try:
        for process in processes:
            _, complaint = process.communicate(timeout=300)
            assert process.returncode == 0, complaint
    finally:
        for process in processes:
            process.kill()
    return [torch.load(folder / f"{rank}.pt", weights_only=True) for rank in range(2)]


def assert_both_have(outcomes, name, parts, gradients):
    for outcome in outcomes:
        found = outcome[name]
        assert found["total"] == pytest.approx(float(parts.total), rel=1e-9)
        assert found["figures"] == parts.figures
        for part, values in found["parts"].items():
            assert values == pytest.approx(list(parts.parts[part]), rel=1e-9)
        assert_same_gradients(found["gradients"], gradients)


@pytest.mark.parametrize("chunk_size", CHUNK_SIZES)
@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("case", CASES)
def test_two_processes_are_as_one(outcomes, case, name, chunk_size):
    synonyms = [] if CASES[case][1] is None else SYNONYMS
    assert_both_have(outcomes, f"{case}; {name}; {chunk_size}", *by_hand(loss_of(*LOSSES[name]), synonyms))


def test_gradients_of_an_earlier_step_are_added_to_once(outcomes):
    parts, gradients = by_hand(loss_of())
    assert_both_have(outcomes, "twice", parts, {name: 2 * gradient for name, gradient in gradients.items()})


def test_a_wrapper_around_the_encoder_sums_nothing_of_its_own(outcomes):
    assert_both_have(outcomes, "wrapped", *by_hand(loss_of()))
