"""The dial: from a λ that is wrong by a factor of 30 either way to the dimensions that were asked for."""

import json
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from retrieval_ko.errors import ModelError
from sparse_ko.losses import WeightedSum
from sparse_ko.settings import SparsitySettings, TrainSettings
from sparse_ko.sparsity import PATIENCE, SparsityController
from training_ko.losses import Embedded

VOCABULARY = 300


def settings_of(weight, **targets):
    return SparsitySettings(document_weight=weight, query_weight=weight, **targets)


class SmallEncoder(nn.Module):
    """The static form: each piece has a vector, and the head's logit for another piece is what they have in common."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(3)
        vectors = nn.functional.normalize(torch.randn(VOCABULARY, 32), dim=1)
        self.embedding = nn.Embedding(VOCABULARY, 32)
        self.embedding.weight.data = vectors.clone()
        self.head = nn.Linear(32, VOCABULARY)
        self.head.weight.data = 3 * vectors.clone()
        self.head.bias.data.fill_(-0.9)

    def forward(self, pieces):
        return self.head(self.embedding(pieces)).amax(dim=1).relu().log1p()


def train(controller, steps, batch=16):
    """Train on 300 texts of 12 pieces, whose queries are two of their pieces; return dims of passages and queries, each step."""
    random = np.random.default_rng(5)
    share = 1 / np.arange(1, VOCABULARY + 1) ** 0.8
    texts = np.array([random.choice(VOCABULARY, 12, replace=False, p=share / share.sum()) for _ in range(300)])
    model, loss = SmallEncoder(), WeightedSum(TrainSettings(name="small"))
    optimiser = torch.optim.AdamW(model.parameters(), lr=0.01)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: 0.5 * (1 + math.cos(math.pi * step / steps)))
    dims = [(None, None)]
    own = torch.arange(batch)
    for step in range(steps):
        loss.lambda_document, loss.lambda_query = controller.update(step, *dims[-1])
        chosen = torch.tensor(texts[random.choice(300, batch, replace=False)])
        relevant = torch.eye(batch, dtype=torch.bool)
        parts = loss(Embedded(model(chosen[:, 3:5]), model(chosen), own, own.unsqueeze(1), relevant))
        optimiser.zero_grad()
        parts.total.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        schedule.step()
        dims.append((parts.figures["document_dims"], parts.figures["query_dims"]))
    return np.array(dims[1:])


@pytest.mark.parametrize("weight", [0.1 / 30, 0.1 * 30])  # about 0.1 would be right
def test_target_is_reached_from_a_weight_wrong_by_a_factor_of_30(weight):
    targets, steps = (45.0, 10.5), 250
    left_alone = train(SparsityController(settings_of(weight), steps), steps)[-25:].mean(axis=0)
    assert min(abs(np.log(left_alone / targets))) > np.log(1.5)
    dial = settings_of(weight, target_doc_dims=targets[0], target_query_dims=targets[1])
    assert train(SparsityController(dial, steps), steps)[-25:].mean(axis=0) == pytest.approx(targets, rel=0.1)


@given(
    factor=st.sampled_from([1 / 30, 1, 30]),
    power=st.floats(0.3, 1.0),
    lag=st.floats(0.0, 0.02),
    first=st.sampled_from([60.0, 400.0]),
    steps=st.sampled_from([400, 2000]),
    seed=st.integers(0, 100),
)
@settings(max_examples=30, deadline=None)
def test_encoders_that_answer_fast_or_slowly_come_to_the_target(factor, power, lag, first, steps, seed):
    """Dims as a power of λ that they follow with a lag (a share of the run), measured with 5 % noise; λ 1 would be right."""
    target, noise = 100.0, np.random.default_rng(seed)
    controller = SparsityController(settings_of(factor, target_doc_dims=target), steps)
    level, measured, latest = math.log(first), None, []
    for step in range(steps):
        weight, _ = controller.update(step, measured, None)
        settled = min(math.log(2000), math.log(target) - power * math.log(max(weight, 1e-9)))
        level += (settled - level) / max(1.0, lag * steps)
        measured = math.exp(level + noise.normal(0, 0.05))
        latest.append(math.exp(level))
    assert np.mean(latest[-steps // 10 :]) == pytest.approx(target, rel=0.1)


def test_without_a_target_the_weight_grows_quadratically_to_its_value():
    controller = SparsityController(SparsitySettings(document_weight=0.9, query_weight=0.3, warmup=0.3), total_steps=100)
    for step in range(100):
        share = min(1.0, (step / 30) ** 2)
        assert controller.update(step, 1000.0, 1.0) == pytest.approx((0.9 * share, 0.3 * share))


def test_without_a_warm_up_the_weight_is_there_at_once():
    assert SparsityController(SparsitySettings(document_weight=0.9, warmup=0), total_steps=10).update(0, None, None)[0] == 0.9


def test_state_survives_json_and_gives_the_same_weights():
    def dims_at(step):
        return 300 / (1 + step / 20), 60 / (1 + step / 10)

    targets = settings_of(0.01, target_doc_dims=80, target_query_dims=20)
    whole, first, resumed = (SparsityController(targets, 100) for _ in range(3))
    expected = [whole.update(step, *dims_at(step)) for step in range(100)]
    for step in range(37):
        first.update(step, *dims_at(step))
    resumed.load_state_dict(json.loads(json.dumps(first.state_dict())))
    assert [resumed.update(step, *dims_at(step)) for step in range(37, 100)] == expected[37:]


def run_with(controller, dims, steps):
    for step in range(steps):
        controller.update(step, *dims(step), loss=2.5)


def test_an_encoder_that_went_silent_stops_the_run_with_its_numbers():
    controller = SparsityController(settings_of(4.0), total_steps=1000)
    numbers = r"step 29: λ 0.03028 passages .*dims 0 passages 7 queries, loss 2.5"  # 4 (29 / (1000/3))²
    with pytest.raises(ModelError, match=rf"passages had no active dimension(.|\n)*{numbers}"):
        run_with(controller, lambda step: (0.0 if step > 10 else 50.0, 7.0), 1000)


def test_queries_that_went_silent_stop_the_run_too():
    with pytest.raises(ModelError, match=r"queries had no active dimension(.|\n)*sparsity.query_weight"):
        run_with(SparsityController(settings_of(4.0), total_steps=1000), lambda _: (50.0, 0.0), 1000)


def test_an_encoder_that_stays_dense_stops_the_run_after_the_warm_up():
    steps = []

    def dims(step):
        steps.append(step)
        return 950.0, 7.0

    with pytest.raises(ModelError, match=r"more than 90% of all 1,000 dimensions(.|\n)*sparsity.document_weight"):
        run_with(SparsityController(settings_of(4.0), 300, dimensions=1000), dims, 300)
    assert steps[-1] == 100 + PATIENCE - 1


def test_a_few_silent_batches_are_no_collapse():
    controller = SparsityController(settings_of(4.0), total_steps=1000)
    run_with(controller, lambda step: (float(step % PATIENCE == 0), 7.0), 1000)


def test_dims_that_are_no_number_stop_the_run():
    with pytest.raises(ModelError, match="not a number"):
        SparsityController(settings_of(4.0), total_steps=1000).update(5, math.nan, 3.0)
