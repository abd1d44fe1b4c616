"""What pruning keeps: the laws of each type, and the very same as the processor of a real node."""

import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parent))
from word_model import WordModel

from opensearch_ko.cluster import connect
from opensearch_ko.pruning import Pruning
from retrieval_ko.errors import UsageError

weights_of_texts = st.dictionaries(
    st.text("가나다라마바사", min_size=1, max_size=3), st.floats(2**-10, 8, width=32), min_size=1, max_size=40
)
ratios = st.floats(0, 0.99)


def float32(number):
    return np.float32(number)


@given(weights_of_texts, ratios)
def test_max_ratio_keeps_the_heaviest_and_what_reaches_its_share(weights, ratio):
    kept = Pruning(type="max_ratio", ratio=ratio).apply(weights)
    heaviest = max(weights.values())
    assert heaviest in kept.values()
    for token, weight in weights.items():
        if weight > 1.0001 * ratio * heaviest:
            assert kept[token] == weight
        elif weight < 0.9999 * ratio * heaviest:
            assert token not in kept


@given(weights_of_texts, st.floats(0.01, 8))
def test_abs_value_keeps_what_reaches_the_value(weights, value):
    kept = Pruning(type="abs_value", ratio=value).apply(weights)
    assert kept == {token: weight for token, weight in weights.items() if weight >= float32(value)}


@given(weights_of_texts, st.integers(1, 50))
def test_top_k_keeps_so_many_and_none_lighter_than_what_it_drops(weights, size):
    kept = Pruning(type="top_k", ratio=size).apply(weights)
    assert len(kept) == min(size, len(weights))
    dropped = [weight for token, weight in weights.items() if token not in kept]
    assert not dropped or min(kept.values()) >= max(dropped)


@given(weights_of_texts, ratios)
def test_alpha_mass_keeps_the_heaviest_that_hold_no_more_than_their_share(weights, ratio):
    kept = Pruning(type="alpha_mass", ratio=ratio).apply(weights)
    total = sum(weights.values())
    assert sum(kept.values()) <= ratio * total * 1.0001
    dropped = [weight for token, weight in weights.items() if token not in kept]
    assert dropped  # ratio < 1: never everything
    assert sum(kept.values()) + max(dropped) >= ratio * total * 0.9999
    assert not kept or min(kept.values()) >= max(dropped)


@given(weights_of_texts, st.sampled_from(["none", "max_ratio:0.1", "abs_value:0.5", "top_k:5"]))
def test_pruning_twice_is_pruning_once_and_keeps_the_order(weights, text):
    pruning = Pruning.parse(text)
    kept = pruning.apply(weights)
    assert pruning.apply(kept) == kept
    assert list(kept.items()) == [item for item in weights.items() if item[0] in kept]


def test_no_weights_stay_no_weights():
    assert [Pruning.parse(text).apply({}) for text in ("none", "max_ratio:0.1", "alpha_mass:0.9", "top_k:3")] == [{}] * 4


@pytest.mark.parametrize(
    "text", ["max_ratio", "max_ratio:1", "alpha_mass:-0.1", "abs_value:0", "top_k:1.5", "top_k:0", "none:1", "half:0.5", ""]
)
def test_what_the_processor_would_refuse_is_refused_here(text):
    with pytest.raises(UsageError, match=r"max_ratio:0\.1"):
        Pruning.parse(text)


def around(number):
    """Return the 32-bit float nearest to a number, and its neighbours."""
    middle = float32(number)
    return [float(np.nextafter(middle, float32(0))), float(middle), float(np.nextafter(middle, float32(9)))]


HEAVIEST = 1.3
WEIGHTS = [HEAVIEST, *around(float32(0.1) * float32(HEAVIEST)), *around(float32(0.7) * float32(HEAVIEST)), *around(0.3), 0.123456, 1.1, 0.9]
EDGE_TABLE = {f"낱말{number}": float(float32(weight)) for number, weight in enumerate(WEIGHTS)}
EQUALS = {f"같은{number}": 0.25 for number in range(6)}
"""Of a few tokens that weigh the same, the sums of 32-bit floats are exact."""
TEXTS = {
    "edges": " ".join(EDGE_TABLE),
    "edges without the heaviest": " ".join(list(EDGE_TABLE)[1:]),
    "one word": "낱말0",
    "four equals": " ".join(list(EQUALS)[:4]),
}
PRUNINGS = [
    *("none", "max_ratio:0", "max_ratio:0.1", "max_ratio:0.7", "max_ratio:0.999999", "abs_value:0.3", "abs_value:0.9", "abs_value:5"),
    *("alpha_mass:0", "alpha_mass:0.5", "alpha_mass:0.75", "alpha_mass:0.9", "alpha_mass:0.999", "top_k:1", "top_k:3", "top_k:100"),
]


@pytest.fixture(scope="module")
def words(node_url, tmp_path_factory):
    model = WordModel(connect(node_url), tmp_path_factory.mktemp("words"), EDGE_TABLE | EQUALS)
    yield model
    model.remove()


def by_the_processor(model, pruning, texts):
    processor = {"model_id": model.model_id, "field_map": {"passage": "sparse"}, "batch_size": 2, **pruning.processor_settings()}
    body = {"pipeline": {"processors": [{"sparse_encoding": processor}]}, "docs": [{"_source": {"passage": text}} for text in texts]}
    answer = model.cluster.request("POST", "/_ingest/pipeline/_simulate", body)
    return [doc["doc"]["_source"].get("sparse") for doc in answer["docs"]]


@pytest.mark.node
@pytest.mark.parametrize("text", PRUNINGS)
def test_the_client_keeps_the_very_weights_that_the_processor_keeps(words, text):
    pruning = Pruning.parse(text)
    for name, found in zip(TEXTS, by_the_processor(words, pruning, TEXTS.values()), strict=True):
        theirs = {word: float32(weight) for word, weight in found.items()}
        kept = pruning.apply({word: words.table[word] for word in TEXTS[name].split()})
        ours = {word: float32(weight) for word, weight in kept.items()}
        assert sorted(theirs.values()) == sorted(ours.values()), name
        if name != "four equals":  # which of equals stay is the node's own choice
            assert theirs == ours, name
