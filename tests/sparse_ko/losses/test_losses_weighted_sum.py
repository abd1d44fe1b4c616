"""What the total is made of."""

import pytest
import torch

from sparse_ko.losses import WeightedSum
from sparse_ko.settings import TrainSettings
from training_ko.losses import Embedded


def weighted_sum(**settings):
    return WeightedSum(TrainSettings.model_validate({"name": "small", **settings}))


def batch(dtype=torch.float64):
    """Two queries, their positives, one negative, two synonym pairs."""
    return Embedded(
        queries=torch.tensor([[1, 0, 0], [0, 2, 0]], dtype=dtype),
        documents=torch.tensor([[3, 0, 0], [0, 1, 0], [0, 0.5, 4]], dtype=dtype),
        positive=torch.tensor([0, 1]),
        candidates=torch.tensor([[0, 2], [1, -1]]),
        relevant=torch.eye(2, 3, dtype=torch.bool),
        korean=torch.tensor([[1, 0, 0], [0, 1, 0]], dtype=dtype),
        english=torch.tensor([[2, 0, 0], [0, 0, 1]], dtype=dtype),
    )


# by hand. Leads: query 0 has 3 and negatives 0, 0; query 1 has 2 and negatives 0, 1; so a margin of 2 is missed once, by 1, of four times
MARGIN = 1 / 4
SYNONYMS = (0 + 1) / 2
FLOPS_DOCUMENTS = (3 / 3) ** 2 + (1.5 / 3) ** 2 + (4 / 3) ** 2
FLOPS_QUERIES = (1 / 2) ** 2 + (2 / 2) ** 2
FIRST_SPECIFICATION = {
    "ranking": {"loss": "margin", "margin": 2.0, "weight": 1.0},
    "synonyms": {"weight": 0.1},
    "sparsity": {"weight": 0.001, "document_weight": 1.0, "query_weight": 1.0},
}


def test_the_first_specification_s_weights_are_a_config():
    parts = weighted_sum(**FIRST_SPECIFICATION)(batch())
    total = 1.0 * MARGIN + 0.1 * SYNONYMS + 0.001 * (FLOPS_DOCUMENTS + FLOPS_QUERIES)
    assert float(parts.total) == pytest.approx(total)
    assert {name: part.value for name, part in parts.parts.items()} == pytest.approx(
        {"ranking": MARGIN, "synonyms": SYNONYMS, "document_sparsity": FLOPS_DOCUMENTS, "query_sparsity": FLOPS_QUERIES}
    )
    assert {name: part.share for name, part in parts.parts.items()} == pytest.approx(
        {
            "ranking": MARGIN / total,
            "synonyms": 0.1 * SYNONYMS / total,
            "document_sparsity": 0.001 * FLOPS_DOCUMENTS / total,
            "query_sparsity": 0.001 * FLOPS_QUERIES / total,
        }
    )
    assert sum(part.share for part in parts.parts.values()) == pytest.approx(1)
    assert parts.figures == pytest.approx({"document_dims": 4 / 3, "query_dims": 1})


def test_lambda_is_a_dial_that_can_be_turned_between_steps():
    loss = weighted_sum(**FIRST_SPECIFICATION)
    before = float(loss(batch()).total)
    loss.lambda_document, loss.lambda_query = 11.0, 21.0
    assert float(loss(batch()).total) - before == pytest.approx(0.001 * (10 * FLOPS_DOCUMENTS + 20 * FLOPS_QUERIES))


def test_negatives_are_regularised_as_positives_are():
    weights = batch().documents.clone().requires_grad_()
    loss = weighted_sum(sparsity={"document_weight": 1.0})
    parts = loss(Embedded(batch().queries, weights, batch().positive, batch().candidates, torch.ones(2, 3, dtype=torch.bool)))
    parts.total.backward()  # every document relevant: the ranking loss is silent
    assert weights.grad[2, 2] == pytest.approx(2 * (4 / 3) / 3)
    assert weights.grad[0, 0] == pytest.approx(2 * (3 / 3) / 3)


@pytest.mark.parametrize("form", ["doc-only", "lexical-floor"])
def test_a_query_table_is_not_regularised(form):
    parts = weighted_sum(model={"form": form}, sparsity={"anti_collapse": 1.0})(batch()).parts
    assert parts.keys() == {"ranking", "document_sparsity", "anti_collapse"}


def test_half_precision_weights_are_summed_in_32_bits():
    """2,048 rows of one weight each: in bfloat16 the sum would stop growing at 256, in float16 the squares would vanish."""
    for dtype in (torch.bfloat16, torch.float16):
        weights = torch.full((2048, 3), 2**-10, dtype=dtype)
        half = Embedded(
            queries=weights[:1],
            documents=weights,
            positive=torch.tensor([0]),
            candidates=torch.tensor([[0]]),
            relevant=torch.zeros(1, 2048, dtype=torch.bool),
        )
        loss = weighted_sum(sparsity={"document_weight": 1.0})
        with torch.autocast("cpu", dtype=dtype):
            parts = loss(half)
        assert parts.total.dtype == torch.float32
        assert parts.parts["document_sparsity"].value == pytest.approx(3 * 2**-20, rel=1e-6)
        # score 3·2⁻²⁰ everywhere: all 2,048 documents are equally likely
        assert parts.parts["ranking"].value == pytest.approx(11 * torch.log(torch.tensor(2.0)).item(), rel=1e-6)
