"""The parameters' table: types, bounds, defaults that follow from others."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.data import shards
from common.errors import ParameterError
from common.plan import params
from common.plan.schedule import Schedule

HELD = " that 32 bits hold, 1.2e-38..3.4e38"
ADDRESSES = "s3://bucket/key, a folder s3://bucket/folder/, or a list of at most 1000 objects"
LEAST = {"dataset": "d.npz", "model": "m.keras"}


OPTIMIZERS = (
    "SGD, RMSprop, Adam, AdamW, Nadam, Adamax, Adagrad, Adadelta, Ftrl, Lion, Lamb, Muon, Adafactor, ScheduleFreeAdamW"
)


@pytest.mark.parametrize("value", ["adm", 3, {}, {"class_name": "Own"}, {"class_name": "SGD", "rate": 1}, ["sgd"]])
def test_no_optimizer_of_keras(value):
    with pytest.raises(ParameterError) as error:
        params.read({"optimizer": value})
    assert str(error.value).endswith(f", expected one of {OPTIMIZERS}, or {{class_name, config}}")


def test_defaults_follow_from_what_is_given():
    assert params.complete(LEAST) == {
        "dataset": "d.npz",
        "model": "m.keras",
        "workers": 4,
        "epochs": 1,
        "parity": False,
        "rounds": 2,
        "batch_size": 64,
        "local_batch_size": 32,
        "learning_rate": None,
        "optimizer": None,
        "outer_momentum": 0.0,
        "optimizer_state": "average",
        "weighting": "examples",
        "evaluate": "rounds",
        "early_stopping": None,
        "keep_best": None,
        "average_last": None,
        "reduce_on_plateau": None,
        "goal": None,
        "max_seconds": None,
        "seed": 0,
        "label": None,
        "sample_weight": None,
        "class_weight": None,
        "group": None,
        "inputs": None,
        "missing": None,
        "image_size": None,
        "test": None,
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
        ("learning_rate", 10**400, f"learning_rate: got 1{'0' * 56}..., expected a number above 0"),
        (
            "learning_rate",
            1e-320,
            f"learning_rate: got {1e-320}, expected a number above 0 that 32 bits hold, 1.2e-38..3.4e38",
        ),
        (
            "learning_rate",
            1e39,
            "learning_rate: got 1e+39, expected a number above 0 that 32 bits hold, 1.2e-38..3.4e38",
        ),
        ("learning_rate", None, "learning_rate: got null, expected a number above 0"),
        ("outer_momentum", 1, "outer_momentum: got 1, expected 0 <= x < 1"),
        ("parity", 1, "parity: got 1, expected true or false"),
        ("parity", "yes", "parity: got 'yes', expected true or false"),
        ("optimizer_state", "none", "optimizer_state: got 'none', expected average or reset"),
        ("weighting", "best", "weighting: got 'best', expected examples or uniform or accuracy"),
        ("seed", 10**400, f"seed: got 1{'0' * 56}..., expected 0..2147483647"),
        ("seed", None, "seed: got null, expected 0..2147483647"),  # what Node makes of 10^400
        ("seed", 2**31, "seed: got 2147483648, expected 0..2147483647"),
        ("validation", 1.5, "validation: got 1.5, expected a fraction between 0 and 1, or s3://bucket/key"),
        ("run", "../x", "run: got '../x', expected 1..64 of a-z, 0-9 and -"),
        ("run", "x" * 65, f"run: got {'x' * 65!r}, expected 1..64 of a-z, 0-9 and -"),
        ("dataset", 3, f"dataset: got 3, expected {ADDRESSES}"),
        ("dataset", [], f"dataset: got [], expected {ADDRESSES}"),
        ("dataset", ["a", 3], f"dataset: got ['a', 3], expected {ADDRESSES}"),
        ("test", ["a", ""], f"test: got ['a', ''], expected {ADDRESSES}"),
        ("test", 0, "test: got 0, expected a fraction between 0 and 1, or s3://bucket/key"),
        ("label", [3], "label: got [3], expected columns, each once, by names of 1..500 characters"),
        ("inputs", {"a": 3}, "inputs: got {'a': 3}, expected a column, or a list of at most 10000 columns"),
        (
            "inputs",
            {},
            "inputs: got {}, expected an object of 1..100 inputs or outputs of the model and the columns of each",
        ),
        ("inputs", ["a", "a"], "inputs: got ['a', 'a'], expected columns, each once, by names of 1..500 characters"),
        ("class_weight", "even", "class_weight: got 'even', expected balanced, or an object of {class: number}"),
        ("class_weight", {"a": -1}, "class_weight: got {'a': -1}, expected numbers of 0 or more"),
        ("missing", "mode", "missing: got 'mode', expected drop or zero or mean"),
        (
            "image_size",
            [9],
            "image_size: got [9], expected height and width, [1..4096, 1..4096], or one number for both",
        ),
        ("image_size", [9, 0], "image_size: got [9, 0], expected 1..4096"),
        ("image_size", "9", "image_size: got '9', expected 1..4096"),
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
            {**LEAST, "epochs": 8, "parity": True, "rounds": 8},
            "rounds: got 8, expected a multiple or a divisor of the passes that parity trains (12)",
        ),
        (
            {**LEAST, "weighting": "accuracy"},
            "validation: got nothing, expected a fraction or a dataset, as weighting is accuracy",
        ),
    ],
)
def test_parameters_that_do_not_fit_each_other(given, sentence):
    with pytest.raises(ParameterError) as error:
        params.complete(given)
    assert str(error.value) == sentence


@pytest.mark.parametrize(
    ("epochs", "workers", "expected"), [(1, 4, 2), (2, 4, 3), (3, 2, 5), (8, 4, 12), (8, 1, 8), (1000, 28, 1500)]
)
def test_parity_trains_half_as_many_passes_more_rounded_up_unless_there_is_one_worker(epochs, workers, expected):
    full = params.complete({**LEAST, "epochs": epochs, "workers": workers, "parity": True})
    assert (params.passes(full), full["rounds"], full["epochs"]) == (expected, 2 * expected, epochs)
    assert params.passes({**full, "parity": False}) == epochs


@pytest.mark.parametrize("rounds", [1, 3, 12, 24, 36])
def test_rounds_may_be_given_with_parity(rounds):
    assert params.complete({**LEAST, "epochs": 8, "parity": True, "rounds": rounds})["rounds"] == rounds


@pytest.mark.parametrize(
    ("given", "momentum"),
    [
        ({"epochs": 4}, 0.3),
        ({"epochs": 4, "outer_momentum": 0}, 0.0),
        ({"epochs": 4, "workers": 1}, 0.0),
        ({"epochs": 4, "rounds": 16, "workers": 2}, 0.3),
        ({"epochs": 3}, 0.0),  # six rounds
        ({"epochs": 1, "rounds": 8}, 0.3),
        ({"epochs": 8, "rounds": 8}, 0.0),  # one a pass
        ({"epochs": 8, "rounds": 8, "parity": False, "outer_momentum": 0.3}, 0.3),
        ({"epochs": 4, "rounds": 8}, 0.3),
        ({"epochs": 8, "rounds": 1}, 0.0),
        ({"epochs": 8, "rounds": 12, "parity": True}, 0.0),
        ({"epochs": 8, "parity": True}, 0.3),
    ],
)
def test_the_default_outer_momentum_is_for_many_and_frequent_averages(given, momentum):
    assert params.complete({**LEAST, **given})["outer_momentum"] == momentum


def test_a_name_that_wsk_sent_as_a_number_is_a_name():
    assert params.read({"run": 2026}) == {"run": "2026"}


def test_a_text_that_is_null_is_not_given():
    assert params.read({"run": None, "model": None, "dataset": None, "config": None}) == {}


@pytest.mark.parametrize(
    ("asked", "examples", "expected"),
    [  # expected: workers, local_batch_size, rounds
        ({}, 1_000_000, (4, 32, 2)),
        ({}, 132, (4, 32, 2)),
        ({}, 120, (4, 32, 1)),
        ({}, 64, (4, 32, 1)),
        ({}, 10, (4, 32, 1)),
        ({}, 4, (4, 32, 1)),
        ({}, 3, (3, 37, 1)),
        ({}, 1, (1, 64, 1)),
        ({"epochs": 20}, 120, (4, 32, 20)),
        ({"epochs": 20, "parity": True}, 120, (4, 32, 30)),
        ({"local_batch_size": 8}, 120, (4, 8, 2)),
        ({"workers": 1}, 120, (1, 64, 2)),
        ({"workers": 1}, 64, (1, 64, 1)),
        ({"rounds": 2}, 120, (4, 29, 2)),
        ({"rounds": 30}, 120, (4, 1, 30)),
        ({"rounds": 40}, 120, (3, 1, 40)),
        ({"rounds": 120}, 120, (1, 1, 120)),
        ({"rounds": 5, "local_batch_size": 12}, 120, (2, 12, 5)),
        ({"rounds": 10, "epochs": 20}, 120, (4, 32, 10)),
    ],
)
def test_defaults_fit_small_data(asked, examples, expected):
    full = params.complete({**LEAST, **asked}, examples)
    assert tuple(full[name] for name in ("workers", "local_batch_size", "rounds")) == expected


@given(
    st.integers(1, 300),
    st.fixed_dictionaries(
        {},
        optional={
            "workers": st.integers(1, 6),
            "epochs": st.integers(1, 5),
            "batch_size": st.integers(1, 100),
            "local_batch_size": st.integers(1, 50),
            "parity": st.booleans(),
            "rounds": st.integers(1, 40),
        },
    ),
)
def test_what_is_refused_is_what_was_given(examples, asked):
    try:
        full = params.complete({**LEAST, **asked}, examples)
        counts = shards.shard_counts(examples, full["workers"])
        numbers = (full["workers"], params.passes(full), full["rounds"], full["local_batch_size"], 0, counts)
        refused = None
        Schedule(*numbers)
    except ParameterError as error:
        refused = str(error)
    if "rounds" not in asked:
        assert (refused is None and min(counts) > 0) or asked["workers"] > examples
    assert refused is None or refused.startswith("rounds: ")
