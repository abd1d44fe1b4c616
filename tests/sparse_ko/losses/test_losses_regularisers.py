"""Regularisers against plain loops over the papers' formulae, their gradients, and the laws they obey."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from sparse_ko.losses import L1, AntiCollapse, DfFlops, Flops
from sparse_ko.losses.df_flops import frequency_activation
from sparse_ko.losses.l0_threshold import over_threshold

WEIGHTS = arrays(np.float64, st.tuples(st.integers(1, 5), st.integers(1, 6)), elements=st.one_of(st.just(0.0), st.floats(0.01, 5)))
FREQUENCY = np.array([0.0, 0.02, 0.1, 0.3, 0.9, 1.0])


def rows_that_count(weights, threshold):
    return [row if threshold == 0 or sum(value > 0 for value in row) > threshold else [0.0] * len(row) for row in weights.tolist()]


def expected_flops(weights, threshold=0, factor=None):
    rows = rows_that_count(weights, threshold)
    means = [sum(row[dimension] for row in rows) / len(rows) for dimension in range(weights.shape[1])]
    return sum(((factor[dimension] if factor else 1.0) * mean) ** 2 for dimension, mean in enumerate(means))


def activation(share, alpha=0.1, beta=10):
    if share == 0:
        return 0.0
    return 1 / (1 + (share ** math.log(2, alpha) - 1) ** beta)


def given_df(weights):
    return DfFlops(document_frequency=torch.tensor(FREQUENCY[: weights.shape[1]]))


REGULARISERS = {
    "flops": (lambda _: Flops(), expected_flops),
    "flops, l0": (lambda _: Flops(l0_threshold=2), lambda weights: expected_flops(weights, 2)),
    "df-flops": (given_df, lambda weights: expected_flops(weights, factor=[activation(x) for x in FREQUENCY])),
    "l1": (lambda _: L1(), lambda weights: sum(map(sum, weights.tolist())) / len(weights)),
    "l1, l0": (lambda _: L1(l0_threshold=2), lambda weights: sum(map(sum, rows_that_count(weights, 2))) / len(weights)),
    "anti-collapse": (lambda _: AntiCollapse(), lambda weights: sum(math.exp(-sum(row)) for row in weights.tolist()) / len(weights)),
}


@pytest.mark.parametrize("name", REGULARISERS)
@given(weights=WEIGHTS)
@settings(max_examples=25, deadline=None)
def test_value_is_the_formula_s(name, weights):
    make, expected = REGULARISERS[name]
    assert float(make(weights)(torch.tensor(weights))) == pytest.approx(expected(weights), rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("name", REGULARISERS)
def test_gradient_is_the_value_s_slope(name):
    weights = torch.rand(4, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(1)) + 0.1
    weights[0, 2:] = 0  # two active dimensions: under the threshold
    weights[0, 2:] -= 1  # and far enough from 0 that the slope is measured without crossing it
    make, _ = REGULARISERS[name]
    regulariser = make(weights)
    assert torch.autograd.gradcheck(lambda logits: regulariser(logits.relu()), weights.requires_grad_())


@pytest.mark.parametrize("name", REGULARISERS)
@pytest.mark.parametrize("rows", [0, 1, 3])
def test_rows_of_zeros_and_no_rows_cost_a_number(name, rows):
    weights = torch.zeros(rows, 6, requires_grad=True)
    cost = REGULARISERS[name][0](weights)(weights)
    cost.backward()
    assert cost.item() == (1.0 if name == "anti-collapse" and rows else 0.0)
    assert weights.grad.isfinite().all()


@given(weights=WEIGHTS, factor=st.floats(0.1, 10))
@settings(max_examples=25, deadline=None)
def test_flops_grows_with_the_square_of_the_weights(weights, factor):
    weights = torch.tensor(weights)
    assert float(Flops()(factor * weights)) == pytest.approx(factor**2 * float(Flops()(weights)), rel=1e-9)


@given(weights=WEIGHTS, share=st.floats(0.01, 1))
@settings(max_examples=25, deadline=None)
def test_df_flops_of_equal_frequencies_is_a_multiple_of_flops(weights, share):
    weights = torch.tensor(weights)
    regulariser = DfFlops(document_frequency=torch.full(weights.shape[1:], share, dtype=torch.float64))
    assert float(regulariser(weights)) == pytest.approx(activation(share) ** 2 * float(Flops()(weights)), rel=1e-9, abs=1e-15)


@given(weights=WEIGHTS)
@settings(max_examples=25, deadline=None)
def test_order_of_the_texts_and_texts_given_twice_mean_nothing(weights):
    weights = torch.tensor(weights)
    for regulariser in (Flops(), L1(), AntiCollapse()):
        assert float(regulariser(weights.flip(0).repeat(2, 1))) == pytest.approx(float(regulariser(weights)), rel=1e-9, abs=1e-15)


@given(weights=WEIGHTS, threshold=st.integers(1, 6))
@settings(max_examples=25, deadline=None)
def test_sparse_rows_are_free_of_cost_and_gradient(weights, threshold):
    logits = torch.tensor(weights, requires_grad=True)
    (over_threshold(logits, threshold) ** 2).sum().backward()
    for row, gradient in zip(weights, logits.grad, strict=True):
        if (row > 0).sum() <= threshold:
            assert not gradient.any()
        else:
            assert np.allclose(gradient, 2 * row)


def test_activation_spares_rare_dimensions_and_charges_common_ones():
    shares = torch.linspace(0, 1, 201, dtype=torch.float64)
    values = frequency_activation(shares, 0.1, 10)
    assert float(frequency_activation(torch.tensor([0.1], dtype=torch.float64), 0.1, 10)) == pytest.approx(0.5)
    assert values[0] == 0
    assert values[-1] == 1
    assert (values.diff() >= 0).all()
    tiny = frequency_activation(torch.tensor([0.0, 1e-30, 1e-6, 1.0]), 0.1, 10)  # 32 bits
    assert tiny.tolist() == pytest.approx([0.0, 0.0, 0.0, 1.0], abs=1e-6)


def test_frequencies_are_the_mean_of_the_batches_and_then_fade():
    regulariser = DfFlops(rate=0.25)
    shares, expected = [1.0, 0.5, 0.0, 0.0, 1.0, 0.5], 0.0
    for number, share in enumerate(shares, start=1):
        rate = max(1 / number, 0.25)
        expected = (1 - rate) * expected + rate * share
        regulariser(torch.tensor([[2.0], [1.0]]) * torch.tensor([[float(share > 0)], [float(share > 0.5)]]))
    assert float(regulariser.document_frequency) == pytest.approx(expected)


def test_frequencies_are_refreshed_by_training_alone_and_survive_a_restart():
    weights = torch.tensor([[1.0, 0.0, 2.0], [1.0, 0.0, 0.0]])
    regulariser = DfFlops()
    cost = regulariser(weights)
    regulariser.eval()
    regulariser(torch.ones(2, 3))
    assert regulariser.document_frequency.tolist() == [1.0, 0.0, 0.5]
    resumed = DfFlops()
    resumed.load_state_dict(regulariser.state_dict())
    assert resumed.document_frequency.tolist() == [1.0, 0.0, 0.5]
    assert int(resumed.batches) == 1
    assert float(resumed.eval()(weights)) == float(cost)


def test_anti_collapse_lifts_an_almost_empty_text_and_leaves_a_healthy_one():
    weights = torch.tensor([[0.01, 0.0], [20.0, 20.0]], requires_grad=True)
    AntiCollapse()(weights).backward()
    assert weights.grad[0].tolist() == pytest.approx([-math.exp(-0.01) / 2] * 2)
    assert weights.grad[1].abs().max() < 1e-15
