"""The loss that the published LexDPR gets wrong: the temperature divides the scores, it is not their scale."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sentence_transformers.sentence_transformer.losses import MultipleNegativesRankingLoss

from dense_ko.training.guard import FalseNegativeGuard
from dense_ko.training.loss import DenseLoss, mnr_loss
from retrieval_ko.errors import DataError, UsageError
from training_ko.losses import Embedded
from training_ko.settings import RankingSettings

MNR = RankingSettings(temperature=0.05)
SEEDS = st.integers(0, 10_000)


def cosine_rows(chance, count, width=12):
    rows = chance.normal(size=(count, width))
    return torch.tensor(rows / np.linalg.norm(rows, axis=1, keepdims=True))


def batch_of(seed, queries=6, negatives=2, relevant=0.0):
    """A batch of normalised vectors: every query's positive and hard negatives, positives first in the documents."""
    chance = np.random.default_rng(seed)
    documents = queries * (1 + negatives)
    candidates = np.array([[query, *(queries + query * negatives + place for place in range(negatives))] for query in range(queries)])
    known = chance.random((queries, documents)) < relevant
    known[np.arange(queries), np.arange(queries)] = True
    return Embedded(
        queries=cosine_rows(chance, queries),
        documents=cosine_rows(chance, documents),
        positive=torch.arange(queries),
        candidates=torch.tensor(candidates),
        relevant=torch.tensor(known),
    )


def reference(batch, scale):
    """Multiple negatives ranking in NumPy: cross-entropy of scale · cosine, the positive's column the answer, co-cited columns left out."""
    queries, documents = batch.queries.numpy(), batch.documents.numpy()
    cosines = queries @ documents.T / np.linalg.norm(queries, axis=1)[:, None] / np.linalg.norm(documents, axis=1)
    losses = []
    for query, positive in enumerate(batch.positive.tolist()):
        counted = [column for column in range(len(documents)) if column == positive or not batch.relevant[query, column]]
        logits = scale * cosines[query, counted]
        losses.append(np.log(np.exp(logits - logits.max()).sum()) + logits.max() - scale * cosines[query, positive])
    return float(np.mean(losses))


@settings(max_examples=20, deadline=None)
@given(seed=SEEDS, relevant=st.sampled_from([0.0, 0.3]))
def test_the_loss_is_the_reference_with_scale_20(seed, relevant):
    batch = batch_of(seed, relevant=relevant)
    value = float(DenseLoss(MNR)(batch).total)
    assert value == pytest.approx(reference(batch, scale=20.0), rel=1e-9)
    assert value == pytest.approx(float(mnr_loss(0.05)(batch)), rel=1e-12)


def test_the_loss_is_that_of_sentence_transformers_with_its_default_scale():
    """The library's own loss, on the same vectors; its default scale is 20."""
    batch = batch_of(4)
    columns = [batch.queries, *(batch.documents[batch.candidates[:, column]] for column in range(3))]

    class Given(torch.nn.Module):  # the library calls the model once a column
        def forward(self, features):
            return {"sentence_embedding": features["vectors"]}

    theirs = MultipleNegativesRankingLoss(Given())
    assert theirs.scale == 20.0
    value = theirs([{"vectors": vectors} for vectors in columns], torch.arange(6))
    assert float(DenseLoss(MNR)(batch).total) == pytest.approx(float(value), rel=1e-6)


def test_the_published_bug_is_absent():
    """Scale 0.05 leaves a batch that is told apart perfectly at log(columns), and its gradient almost nothing; scale 20 does not."""
    batch = batch_of(1, queries=8, negatives=0)
    batch = replace(batch, documents=batch.queries + 0.05 * cosine_rows(np.random.default_rng(2), 8))
    buggy = reference(batch, scale=0.05)
    ours = float(DenseLoss(MNR)(batch).total)
    assert buggy == pytest.approx(math.log(8), rel=0.05)
    assert ours < 0.1
    assert abs(ours - buggy) > 1.5


@settings(max_examples=10, deadline=None)
@given(seed=SEEDS)
def test_the_gradient_is_that_of_the_formula(seed):
    """By differences of the loss itself, in 64 bits; and by hand: 20 · (softmax - one-hot) / B times the documents."""
    batch = batch_of(seed, queries=3, negatives=1)
    loss = DenseLoss(MNR)

    def total(queries, documents):
        return loss(replace(batch, queries=queries, documents=documents)).total

    given = batch.queries.clone().requires_grad_(), batch.documents.clone().requires_grad_()
    assert torch.autograd.gradcheck(total, given)
    [own] = torch.autograd.grad(total(*given), given[:1])
    share = (20 * batch.queries @ batch.documents.T).softmax(dim=1)
    share[torch.arange(3), batch.positive] -= 1
    torch.testing.assert_close(own, 20 * share @ batch.documents / 3)


def test_a_co_cited_article_is_no_negative():
    """It takes no gradient from the query that cites it too, and the loss is as if it were not in the batch."""
    batch = batch_of(7, queries=2, negatives=0)
    cited_by_both = replace(batch, relevant=torch.tensor([[True, True], [False, True]]))
    documents = cited_by_both.documents.clone().requires_grad_()
    parts = DenseLoss(MNR)(replace(cited_by_both, documents=documents))
    second = batch.queries[1]
    # the first query has no negative, so its loss is 0; the second has one
    rival = 20 * float(second @ batch.documents[0] - second @ batch.documents[1])
    assert float(parts.total.detach()) == pytest.approx((0 + math.log1p(math.exp(rival))) / 2)
    parts.total.backward()
    of_second = documents.grad[1]
    torch.testing.assert_close(of_second, (of_second @ second) * second)  # it comes from the second query alone
    assert of_second.abs().sum() > 0
    assert float(parts.total.detach()) < reference(batch, 20.0)


def test_a_temperature_must_be_above_0():
    with pytest.raises(UsageError, match="above 0"):
        mnr_loss(0.0)
    with pytest.raises(ValueError, match="temperature"):
        RankingSettings(temperature=0)


def test_the_figures_say_what_the_batch_looks_like():
    queries = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    documents = torch.tensor([[0.8, 0.6], [0.6, 0.8], [-1.0, 0.0]])
    batch = Embedded(queries, documents, torch.tensor([0, 0]), torch.tensor([[0, 2], [0, -1]]), torch.zeros(2, 3, dtype=torch.bool))
    figures = DenseLoss(MNR)(batch).figures
    assert figures["positive_cosine"] == pytest.approx((0.8 + 0.6) / 2)
    assert figures["negative_cosine"] == pytest.approx((0.6 - 1.0 + 0.8 + 0.0) / 4)
    assert figures["first"] == 0.5  # the second query has 0.8 before its positive's 0.6
    assert "held_back" not in figures


def test_a_batch_of_nothing_costs_nothing():
    empty = Embedded(
        torch.zeros(0, 4), torch.zeros(0, 4), torch.zeros(0, dtype=torch.int64), torch.zeros(0, 0, dtype=torch.int64), torch.zeros(0, 0) > 0
    )
    assert float(DenseLoss(MNR, FalseNegativeGuard())(empty).total) == 0


@settings(max_examples=20, deadline=None)
@given(seed=SEEDS, margin=st.floats(-0.5, 0.5))
def test_the_model_as_guide_holds_back_what_it_scores_above_the_positive_less_the_margin(seed, margin):
    batch = batch_of(seed, relevant=0.2)
    held = FalseNegativeGuard(margin).suspected(batch)
    for query in range(6):
        for document in range(len(batch.documents)):
            score = float(batch.queries[query] @ batch.documents[document])
            limit = float(batch.queries[query] @ batch.documents[query]) - margin
            if abs(score - limit) > 1e-9:
                assert held[query, document] == (not batch.relevant[query, document] and score > limit)


def test_what_is_held_back_gets_no_gradient_and_is_counted():
    queries = torch.tensor([[1.0, 0.0]], dtype=torch.float64)
    documents = torch.tensor([[0.8, 0.6], [1.0, 0.0], [0.6, 0.8]], dtype=torch.float64, requires_grad=True)
    batch = Embedded(queries, documents, torch.tensor([0]), torch.tensor([[0, 1, 2]]), torch.zeros(1, 3, dtype=torch.bool))
    parts = DenseLoss(MNR, FalseNegativeGuard(0.1))(batch)
    parts.total.backward()
    assert parts.figures["held_back"] == 0.5
    assert documents.grad[1].abs().sum() == 0
    assert documents.grad[2].abs().sum() > 0
    assert float(parts.total.detach()) == pytest.approx(math.log1p(math.exp(20 * (0.6 - 0.8))))


def test_a_relative_margin_is_a_share_of_the_positive():
    queries = torch.tensor([[1.0, 0.0]])
    documents = torch.tensor([[0.5, 0.0], [0.46, 0.0], [0.44, 0.0]])
    batch = Embedded(queries, documents, torch.tensor([0]), torch.tensor([[0, 1, 2]]), torch.zeros(1, 3, dtype=torch.bool))
    assert FalseNegativeGuard(0.1, relative=True).suspected(batch).tolist() == [[False, True, False]]  # above 0.45
    assert FalseNegativeGuard(0.1).suspected(batch).tolist() == [[False, True, True]]  # above 0.4


def test_another_encoder_as_guide_judges_by_its_own_vectors():
    """The loss is over the first dimensions, the guard over the rest, and no gradient reaches the rest."""
    queries = torch.tensor([[1.0, 0.0, 1.0]])
    documents = torch.tensor([[0.6, 0.8, 0.5], [0.8, 0.6, 0.4], [0.8, -0.6, 0.9]], requires_grad=True)
    batch = Embedded(queries, documents, torch.tensor([0]), torch.tensor([[0, 1, 2]]), torch.zeros(1, 3, dtype=torch.bool))
    parts = DenseLoss(MNR, FalseNegativeGuard(), dimensions=2)(batch)
    assert parts.figures["held_back"] == 0.5  # the last, which the guide scores 0.9
    assert float(parts.total.detach()) == pytest.approx(math.log1p(math.exp(20 * (0.8 - 0.6))), rel=1e-5)
    parts.total.backward()
    assert documents.grad[:, 2].abs().sum() == 0


def test_a_teacher_as_guide_knows_the_candidates_alone():
    batch = batch_of(3, queries=3, negatives=2)
    nan = math.nan
    # the first query's first negative is better than its positive; the second query's positive has no score; the third has no rival
    batch = replace(batch, teacher=torch.tensor([[4.0, 4.5, 3.0], [nan, 9.0, 9.0], [8.0, 1.0, nan]]))
    held = FalseNegativeGuard(by_teacher=True).suspected(batch)
    assert held.nonzero().tolist() == [[0, int(batch.candidates[0, 1])]]
    wider = FalseNegativeGuard(1.5, by_teacher=True).suspected(batch)
    assert wider.nonzero().tolist() == [[0, int(batch.candidates[0, 1])], [0, int(batch.candidates[0, 2])]]
    with pytest.raises(DataError, match="false-negative guard"):
        FalseNegativeGuard(by_teacher=True).suspected(replace(batch, teacher=None))
