"""The cross-lingual loss against its formula, and where it has no direction to go by."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from sparse_ko.losses import SynonymLoss

ROWS = arrays(np.float64, (4, 5), elements=st.one_of(st.just(0.0), st.floats(0.01, 50)))
LOSS = SynonymLoss()


def cosine(a, b):
    lengths = np.sqrt((a**2).sum()) * np.sqrt((b**2).sum())
    return (a * b).sum() / lengths if lengths else 0.0


@given(korean=ROWS, english=ROWS)
@settings(max_examples=50, deadline=None)
def test_value_is_one_minus_the_mean_cosine_within_0_and_1(korean, english):
    loss = float(LOSS(torch.tensor(korean), torch.tensor(english)))
    assert loss == pytest.approx(1 - np.mean([cosine(a, b) for a, b in zip(korean, english, strict=True)]), rel=1e-9, abs=1e-12)
    assert -1e-12 <= loss <= 1 + 1e-12


@given(korean=ROWS.filter(lambda rows: rows.any(axis=1).all()), factor=st.floats(1e-3, 1e3))
@settings(max_examples=50, deadline=None)
def test_parallel_sides_cost_nothing(korean, factor):
    assert float(LOSS(torch.tensor(korean), factor * torch.tensor(korean))) == pytest.approx(0, abs=1e-12)


def test_gradient_is_the_value_s_slope():
    generator = torch.Generator().manual_seed(2)
    sides = [torch.rand(3, 5, dtype=torch.float64, generator=generator).requires_grad_() for _ in range(2)]
    assert torch.autograd.gradcheck(LOSS, sides)


@pytest.mark.parametrize("pairs", [0, 1, 3])
@pytest.mark.parametrize("scale", [0.0, 1e-30, 1e18])
def test_no_pairs_and_sides_without_weight_give_numbers(pairs, scale):
    korean = torch.full((pairs, 4), scale, requires_grad=True)
    english = torch.ones(pairs, 4, requires_grad=True)
    loss = LOSS(korean, english)
    loss.backward()
    assert loss.item() == pytest.approx(float(pairs > 0 and scale == 0), abs=1e-6)
    for side in (korean, english):
        assert side.grad.isfinite().all()
        if not scale:
            assert not side.grad.any()


def test_a_pair_without_direction_leaves_the_others_their_gradient():
    korean = torch.tensor([[0.0, 0.0], [1.0, 0.0]], dtype=torch.float64, requires_grad=True)
    english = torch.tensor([[1.0, 0.0], [1.0, 1.0]], dtype=torch.float64)
    loss = LOSS(korean, english)
    loss.backward()
    assert loss.item() == pytest.approx((1 + 1 - 1 / np.sqrt(2)) / 2)
    assert korean.grad[0].tolist() == [0, 0]
    # d cos((1, y), (1, 1)) / dy at y = 0 is 1/√2; half of the mean
    assert korean.grad[1].tolist() == pytest.approx([0, -1 / np.sqrt(2) / 2])
