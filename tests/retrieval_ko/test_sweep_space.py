"""What depends on what, and that every point is there once."""

import itertools
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrieval_ko.errors import UsageError
from retrieval_ko.sweeps.parameters import Choice, Range
from retrieval_ko.sweeps.space import Condition, Space, key_of

BASES = Space(
    {"length": Choice((256, 512)), "base": Choice(("minilm", "bge", "e5")), "temperature": Range(0.01, 0.3)},
    {"epochs": 3},
    (
        Condition({"base": ("minilm",)}, at_most={"length": 128}, fixed={"template": "none"}),
        Condition({"base": ("bge", "e5")}, parameters={"temperature": Range(0.01, 0.1)}),
        Condition({"base": ("bge",), "epochs": (3,)}, parameters={"alpha": Choice((1, 2))}),
    ),
)


def drawn(**answers):
    """Draw a point from given answers, and return it with the names that were asked for."""
    asked = []

    def answer(name, how):
        asked.append(name)
        return answers[name]

    return BASES.draw(answer), asked


def test_a_value_is_clipped_where_the_base_has_no_more_positions():
    point, asked = drawn(base="minilm", length=512, temperature=0.2)
    assert point == {"length": 128, "base": "minilm", "temperature": 0.2, "epochs": 3, "template": "none"}
    assert asked == ["base", "length", "temperature"]  # what the length depends on comes first


def test_a_parameter_of_a_condition_is_drawn_under_its_own_name_and_only_there():
    point, asked = drawn(**{"base": "bge", "length": 512, "temperature@2": 0.05, "alpha@3": 2})
    assert point == {"length": 512, "base": "bge", "temperature": 0.05, "epochs": 3, "alpha": 2}
    assert "temperature" not in asked
    assert "alpha" not in drawn(**{"base": "e5", "length": 256, "temperature@2": 0.05})[0]


def test_what_depends_on_itself_is_refused():
    circle = (Condition({"a": (1,)}, fixed={"b": 2}), Condition({"b": (2,)}, fixed={"a": 1}))
    with pytest.raises(UsageError, match=r"depends on itself \(a → b → a\)"):
        Space({"a": Choice((1, 2)), "b": Choice((1, 2))}, {}, circle)


def test_clipping_makes_no_point_twice():
    space = Space(
        {"length": Choice((256, 384, 512)), "base": Choice(("a", "b"))}, {}, (Condition({"base": ("a",)}, at_most={"length": 256}),)
    )
    points = [tuple(point.values()) for _, point in space.points()]
    assert points == [(256, "a"), (256, "b"), (384, "b"), (512, "b")]
    assert space.size() == 4
    assert BASES.size() is None


@given(st.lists(st.integers(1, 4), min_size=1, max_size=4))
def test_without_conditions_the_points_are_the_product(sizes):
    space = Space({f"p{place}": Choice(tuple(range(size))) for place, size in enumerate(sizes)})
    points = [tuple(point.values()) for _, point in space.points()]
    assert points == list(itertools.product(*map(range, sizes)))


@given(st.integers(0, 10**6))
def test_the_answers_that_made_a_point_make_it_again(seed):
    chance = random.Random(seed)
    answers = {}

    def answer(name, how):
        answers[name] = chance.choice(how.options()) if how.finite else chance.uniform(how.low, how.high)
        return answers[name]

    point = BASES.draw(answer)
    assert BASES.draw(lambda name, how: answers[name]) == point
    assert key_of(dict(reversed(point.items()))) == key_of(point)
