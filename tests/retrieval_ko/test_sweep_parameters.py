"""Parameters in the spelling of W&B."""

import math

import pytest

from retrieval_ko.errors import UsageError
from retrieval_ko.sweeps.parameters import Choice, Range, read_parameter, read_parameters


@pytest.mark.parametrize(
    ("spelt", "meant"),
    [
        ({"values": [16, 32]}, Choice((16, 32))),
        ({"distribution": "categorical", "values": ["a", [1]]}, Choice(("a", [1]))),
        ({"value": 3}, Choice((3,))),
        ({"min": 1, "max": 4}, Range(1, 4, step=1, whole=True)),
        ({"min": 0.5, "max": 4}, Range(0.5, 4)),
        ({"distribution": "int_uniform", "min": 1, "max": 4}, Range(1, 4, step=1, whole=True)),
        ({"distribution": "uniform", "min": 0, "max": 1}, Range(0, 1)),
        ({"distribution": "log_uniform_values", "min": "5e-7", "max": "1e-4"}, Range(5e-7, 1e-4, log=True)),
        ({"distribution": "log_uniform", "min": -3, "max": 0}, Range(math.exp(-3), 1.0, log=True)),
        ({"distribution": "q_uniform", "min": 0, "max": 1, "q": 0.25}, Range(0, 1, step=0.25)),
        ({"distribution": "q_uniform", "min": 9, "max": 41, "q": 10}, Range(10, 40, step=10, whole=True)),
    ],
)
def test_a_parameter_is_read_as_wandb_reads_it(spelt, meant):
    assert read_parameter(spelt, "parameters.x") == meant


def test_a_range_of_steps_names_every_value():
    assert read_parameter({"distribution": "q_uniform", "min": 9, "max": 41, "q": 10}, "x").options() == (10, 20, 30, 40)
    assert read_parameter({"min": 3, "max": 5}, "x").options() == (3, 4, 5)


@pytest.mark.parametrize(
    ("spelt", "complaint"),
    [
        (
            {"distribution": "log_uniform", "min": 5e-7, "max": 1e-4},
            "log_uniform takes exponents, so 5e-07 to 0.0001 would mean 1 to 1.0001",
        ),
        ({"distribution": "log_unifrom_values", "min": 1, "max": 2}, "did you mean log_uniform_values?"),
        ({"distribution": "uniform", "min": 1}, "max is a number, found None"),
        ({"distribution": "uniform", "min": 2, "max": 1}, "min 2 is not below max 1"),
        ({"distribution": "log_uniform_values", "min": 0, "max": 1}, "a logarithm needs a min above 0"),
        ({"distribution": "q_uniform", "min": 0, "max": 1, "q": 0}, "q is a number above 0"),
        ({"values": []}, "values is a list of at least one"),
        ({"values": [1, 2, 1]}, "1 is there twice"),
        ({"values": [1], "min": 0}, "a list of values has no min"),
        ({"vlaues": [1]}, "there is no such key as vlaues; did you mean values?"),
        ([1, 2], "expected {values: [...]}"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_its_key(spelt, complaint):
    with pytest.raises(UsageError) as refused:
        read_parameter(spelt, "parameters.training.learning_rate")
    assert refused.value.problem.startswith("parameters.training.learning_rate: ")
    assert complaint in refused.value.problem


def test_groups_in_groups_are_keys_with_dots():
    nested = {"model": {"parameters": {"lora": {"parameters": {"r": {"values": [4, 8]}}}}}}
    assert read_parameters(nested, "parameters") == {"model.lora.r": Choice((4, 8))}
