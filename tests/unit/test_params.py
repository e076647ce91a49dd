"""The parameters' table: types, bounds, defaults that follow from others."""

import pytest

from common import params
from common.errors import ParameterError

LEAST = {"dataset": "d.npz", "model": "m.keras"}


def test_defaults_follow_from_what_is_given():
    assert params.complete(LEAST) == {
        "dataset": "d.npz",
        "model": "m.keras",
        "workers": 4,
        "epochs": 1,
        "rounds": 2,
        "batch_size": 64,
        "local_batch_size": 32,
        "learning_rate": None,
        "outer_momentum": 0.0,
        "weighting": "examples",
        "seed": 0,
        "validation": None,
    }


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("workers", 0, "workers: got 0, expected 1..28"),
        ("workers", 40, "workers: got 40, expected 1..28"),
        ("workers", "four", "workers: got 'four', expected 1..28"),
        ("workers", True, "workers: got True, expected 1..28"),
        ("workers", 2.5, "workers: got 2.5, expected 1..28"),
        ("epochs", -1, "epochs: got -1, expected 1..1000"),
        ("batch_size", 10_000, "batch_size: got 10000, expected 1..8192"),
        ("learning_rate", 0, "learning_rate: got 0, expected a number above 0"),
        ("learning_rate", float("inf"), "learning_rate: got inf, expected a number above 0"),
        ("outer_momentum", 1, "outer_momentum: got 1, expected 0 <= x < 1"),
        ("weighting", "best", "weighting: got 'best', expected examples or uniform or accuracy"),
        ("seed", 2**31, "seed: got 2147483648, expected 0..2147483647"),
        ("validation", 1.5, "validation: got 1.5, expected a fraction between 0 and 1, or s3://bucket/key"),
        ("run", "../x", "run: got '../x', expected 1..64 of a-z, 0-9 and -"),
        ("run", "x" * 65, f"run: got {'x' * 65!r}, expected 1..64 of a-z, 0-9 and -"),
        ("dataset", 3, "dataset: got 3, expected s3://bucket/key or a key"),
    ],
)
def test_what_does_not_fit_is_named_with_what_was_expected(name, value, sentence):
    with pytest.raises(ParameterError) as error:
        params.read({name: value})
    assert str(error.value) == sentence


def test_an_unknown_parameter_is_named_without_its_value():
    with pytest.raises(
        ParameterError, match=r"^__ow_headers: got an unknown parameter, expected one of dataset, model"
    ):
        params.read({"__ow_headers": {"authorization": "Basic secret"}})


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"model": "m"}, "dataset: got nothing, expected s3://bucket/key"),
        ({"dataset": "d"}, "model: got nothing, expected s3://bucket/key"),
        ({**LEAST, "epochs": 4, "rounds": 3}, "rounds: got 3, expected a multiple or a divisor of epochs (4)"),
        (
            {**LEAST, "weighting": "accuracy"},
            "validation: got nothing, expected a fraction or an .npz, as weighting is accuracy",
        ),
    ],
)
def test_parameters_that_do_not_fit_each_other(given, sentence):
    with pytest.raises(ParameterError) as error:
        params.complete(given)
    assert str(error.value) == sentence


def test_a_name_that_wsk_sent_as_a_number_is_a_name():
    assert params.read({"run": 2026}) == {"run": "2026"}


def test_null_is_not_given():
    assert params.read({"seed": None}) == {}
