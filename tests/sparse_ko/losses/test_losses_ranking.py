"""Ranking losses against plain loops over the papers' formulae, their gradients, and the laws they obey."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from retrieval_ko.errors import DataError
from training_ko.losses import Embedded, InfoNce, KlDivergence, MarginMse, MarginRanking

SEEDS = st.integers(0, 10_000)
LOSSES = {
    "infonce": InfoNce(),
    "infonce, hot": InfoNce(temperature=3.0),
    "infonce, own": InfoNce(in_batch=False),
    "margin": MarginRanking(0.1),
    "margin, own": MarginRanking(2.0, in_batch=False),
    "margin-mse": MarginMse(),
    "kl": KlDivergence(),
    "kl, hot": KlDivergence(2.0),
}


def batch_of(seed, queries=3, documents=6, width=7, candidates=3):
    """A batch with holes: queries with fewer candidates than others, candidates without a teacher's score, further relevant documents."""
    random = np.random.default_rng(seed)

    def weights(count):
        return torch.tensor(np.maximum(random.normal(0.3, 1.0, (count, width)), 0.0))

    own = np.array([random.permutation(documents)[:candidates] for _ in range(queries)], dtype=np.int64).reshape(queries, candidates)
    own[:, 1:][random.random((queries, candidates - 1)) < 0.2] = -1
    relevant = random.random((queries, documents)) < 0.2
    relevant[np.arange(queries), own[:, 0]] = True
    teacher = random.normal(5.0, 3.0, (queries, candidates))
    teacher[random.random(teacher.shape) < 0.2] = np.nan
    return Embedded(
        queries=weights(queries),
        documents=weights(documents),
        positive=torch.tensor(own[:, 0]),
        candidates=torch.tensor(own),
        relevant=torch.tensor(relevant),
        teacher=torch.tensor(teacher),
    )


def dot(batch, query, document):
    return sum(float(a) * float(b) for a, b in zip(batch.queries[query], batch.documents[document], strict=True))


def negatives(batch, query, in_batch):
    own = [int(document) for document in batch.candidates[query] if document >= 0]
    pool = range(len(batch.documents)) if in_batch else own
    return [document for document in pool if not batch.relevant[query, document]]


def expected_infonce(batch, temperature, in_batch):
    losses = []
    for query, positive in enumerate(batch.positive.tolist()):
        true = np.exp(dot(batch, query, positive) / temperature)
        false = sum(np.exp(dot(batch, query, document) / temperature) for document in negatives(batch, query, in_batch))
        losses.append(-np.log(true / (true + false)))
    return np.mean(losses)


def expected_margin(batch, margin, in_batch):
    losses = [
        max(0.0, margin - dot(batch, query, positive) + dot(batch, query, document))
        for query, positive in enumerate(batch.positive.tolist())
        for document in negatives(batch, query, in_batch)
    ]
    return np.mean(losses) if losses else 0.0


def scored(batch, query):
    """(student's, teacher's score) of the candidates that both know, by their place."""
    return {
        place: (dot(batch, query, document), teacher)
        for place, (document, teacher) in enumerate(zip(batch.candidates[query].tolist(), batch.teacher[query].tolist(), strict=True))
        if document >= 0 and not np.isnan(teacher)
    }


def expected_margin_mse(batch):
    losses = []
    for query in range(len(batch.queries)):
        known = scored(batch, query)
        for place in known.keys() - {0} if 0 in known else ():
            losses.append(((known[0][0] - known[place][0]) - (known[0][1] - known[place][1])) ** 2)
    return np.mean(losses) if losses else 0.0


def expected_kl(batch, temperature):
    losses = []
    for query in range(len(batch.queries)):
        known = np.array(list(scored(batch, query).values()))
        if len(known) >= 2:
            student, teacher = np.exp(known.T / temperature)
            student, teacher = student / student.sum(), teacher / teacher.sum()
            losses.append(sum(p * np.log(p / r) for p, r in zip(teacher, student, strict=True)))
    return np.mean(losses) if losses else 0.0


EXPECTED = {
    "infonce": lambda batch: expected_infonce(batch, 1.0, True),
    "infonce, hot": lambda batch: expected_infonce(batch, 3.0, True),
    "infonce, own": lambda batch: expected_infonce(batch, 1.0, False),
    "margin": lambda batch: expected_margin(batch, 0.1, True),
    "margin, own": lambda batch: expected_margin(batch, 2.0, False),
    "margin-mse": expected_margin_mse,
    "kl": lambda batch: expected_kl(batch, 1.0),
    "kl, hot": lambda batch: expected_kl(batch, 2.0),
}


def with_weights(batch, queries, documents):
    return Embedded(queries, documents, batch.positive, batch.candidates, batch.relevant, batch.teacher)


@pytest.mark.parametrize("name", LOSSES)
@given(seed=SEEDS)
@settings(max_examples=15, deadline=None)
def test_value_is_the_formula_s(name, seed):
    batch = batch_of(seed)
    assert float(LOSSES[name](batch)) == pytest.approx(EXPECTED[name](batch), rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("name", LOSSES)
def test_gradient_is_the_value_s_slope(name):
    batch = batch_of(4)
    weights = (batch.queries.clone().requires_grad_(), batch.documents.clone().requires_grad_())
    assert torch.autograd.gradcheck(lambda queries, documents: LOSSES[name](with_weights(batch, queries, documents)), weights)


@pytest.mark.parametrize("name", LOSSES)
@given(seed=SEEDS)
@settings(max_examples=15, deadline=None)
def test_order_of_the_documents_means_nothing(name, seed):
    batch = batch_of(seed)
    order = torch.tensor(np.random.default_rng(seed).permutation(len(batch.documents)))
    place = order.argsort()
    candidates = torch.where(batch.candidates >= 0, place[batch.candidates], -1)
    shuffled = Embedded(batch.queries, batch.documents[order], place[batch.positive], candidates, batch.relevant[:, order], batch.teacher)
    assert float(LOSSES[name](shuffled)) == pytest.approx(float(LOSSES[name](batch)), rel=1e-9, abs=1e-12)


@given(seed=SEEDS)
@settings(max_examples=15, deadline=None)
def test_relevant_documents_of_other_queries_are_no_negatives(seed):
    batch = batch_of(seed)
    relevant_elsewhere = torch.ones_like(batch.relevant)
    without_negatives = Embedded(batch.queries, batch.documents, batch.positive, batch.candidates, relevant_elsewhere)
    assert float(InfoNce()(without_negatives)) == 0
    assert float(MarginRanking()(without_negatives)) == 0


def test_margin_is_free_once_every_lead_is_met():
    queries = torch.tensor([[2.0, 0.0], [0.0, 2.0]], dtype=torch.float64)
    documents = torch.tensor([[1.0, 0.0], [0.0, 1.0]], dtype=torch.float64)  # each leads by 2
    batch = Embedded(queries, documents, torch.tensor([0, 1]), torch.tensor([[0], [1]]), torch.eye(2, dtype=torch.bool))
    assert float(MarginRanking(2.0)(batch)) == 0
    assert float(MarginRanking(2.5)(batch)) == pytest.approx(0.5)


@pytest.mark.parametrize("name", ["margin-mse", "kl"])
def test_a_student_that_is_its_teacher_has_nothing_to_learn(name):
    batch = batch_of(3)
    taught = Embedded(batch.queries, batch.documents, batch.positive, batch.candidates, batch.relevant, batch.candidate_scores())
    assert float(LOSSES[name](taught)) == pytest.approx(0.0, abs=1e-12)


@pytest.mark.parametrize("name", ["margin-mse", "kl"])
def test_without_a_teacher_the_way_out_is_said(name):
    batch = batch_of(3)
    untaught = Embedded(batch.queries, batch.documents, batch.positive, batch.candidates, batch.relevant)
    with pytest.raises(DataError, match=r"teacher.*\n.*infonce"):
        LOSSES[name](untaught)


def edge_batches():
    full = batch_of(7)
    zero = torch.zeros_like
    yield "all weights zero", with_weights(full, zero(full.queries), zero(full.documents))
    yield "one query", batch_of(1, queries=1, documents=3)
    yield "one query and its positive alone", batch_of(1, queries=1, documents=1, candidates=1)
    yield "no query", batch_of(1, queries=0)
    nothing = torch.zeros(0, 7, dtype=torch.float64)
    none = torch.zeros(0, dtype=torch.int64)
    no_candidates, no_relevant = torch.zeros(0, 1, dtype=torch.int64), torch.zeros(0, 0, dtype=torch.bool)
    yield "nothing", Embedded(nothing, nothing, none, no_candidates, no_relevant, torch.zeros(0, 1))
    no_score = torch.full_like(full.teacher, torch.nan)
    yield "no teacher's score", Embedded(full.queries, full.documents, full.positive, full.candidates, full.relevant, no_score)
    yield "huge weights", with_weights(full, 1e3 * full.queries, 1e3 * full.documents)
    single = {name: getattr(full, name).float() for name in ("queries", "documents", "teacher")}
    yield "32 bits", Embedded(single["queries"], single["documents"], full.positive, full.candidates, full.relevant, single["teacher"])


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize(("case", "batch"), edge_batches(), ids=lambda value: value if isinstance(value, str) else "")
def test_value_and_gradient_stay_numbers(name, case, batch):
    queries, documents = batch.queries.clone().requires_grad_(), batch.documents.clone().requires_grad_()
    loss = LOSSES[name](with_weights(batch, queries, documents))
    loss.backward()
    assert loss.isfinite()
    assert loss >= -1e-6
    assert queries.grad.isfinite().all()
    assert documents.grad.isfinite().all()
