"""When training ends: the rules beside Keras' own callback, and what is said of them."""

from types import SimpleNamespace

import keras
import numpy as np
import pytest

from common.errors import ParameterError, RunError
from common.plan import keras_names, params
from common.rounds import stopping
from common.rounds.stopping import Stop

NONE = {"early_stopping": None, "goal": None, "max_seconds": None, "keep_best": None, "average_last": None}


def rule(**said):
    return params.read({"early_stopping": said})["early_stopping"]


def of_keras(values, said):
    """Return after how many of some values Keras' EarlyStopping stops, None where it does not."""
    callback = keras.callbacks.EarlyStopping(**{**said, "monitor": f"val_{said['monitor']}"})
    model = SimpleNamespace(stop_training=False, metrics=[], _compile_metrics=None, get_metrics_result=dict)
    callback.set_model(model)
    callback.on_train_begin()
    for number, value in enumerate(values, 1):
        callback.on_epoch_end(number - 1, {f"val_{said['monitor']}": value})
        if model.stop_training:
            return number
    return None


@pytest.mark.parametrize("seed", range(40))
@pytest.mark.parametrize("mode", ["min", "max"])
@pytest.mark.parametrize(("patience", "min_delta"), [(0, 0.0), (1, 0.0), (2, 0.05), (3, 0.2)])
def test_early_stopping_is_keras_own(seed, mode, patience, min_delta):
    values = np.round(np.random.default_rng(seed).normal(size=12).cumsum() / 3, 2).tolist()
    said = {"monitor": "loss", "patience": patience, "min_delta": min_delta, "mode": mode}
    scores = {number: {"loss": value} for number, value in enumerate(values, 1)}
    found = stopping.stagnated(rule(**said), scores)
    assert (found and found[0]) == of_keras(values, said)


def test_rounds_without_an_evaluation_do_not_count():
    scores = {2: {"loss": 1.0}, 4: {"loss": 1.5}, 6: {"loss": 1.25}}
    number, reason = stopping.stagnated(rule(patience=2), scores)
    assert (number, reason) == (
        6,
        "early_stopping: val_loss was not better than 1 in 2 evaluations, the last of round 5",
    )


@pytest.mark.parametrize(
    ("goal", "found"),
    [
        ({"accuracy": 0.8}, 2),
        ({"val_accuracy": 0.9}, 3),
        ({"accuracy": 0.95}, None),
        ({"loss": 0.5}, 2),
        ({"loss": 0.05}, None),
    ],
)
def test_a_goal_is_reached_by_the_first_that_is_as_good(goal, found):
    values = [(0.9, 0.6), (0.5, 0.8), (0.4, 0.9)]
    scores = {number: {"loss": loss, "accuracy": part} for number, (loss, part) in enumerate(values, 1)}
    met = stopping.reached(params.read({"goal": goal})["goal"], scores)
    assert (met and met[0]) == found


def test_a_run_that_is_old_begins_no_round_more():
    asked = {**NONE, "max_seconds": 60.0}
    assert stopping.decided(asked, 3, {}, 60.0) is None
    assert stopping.decided(asked, 3, {}, 60.5) == Stop(3, 3, "max_seconds: 60 were over after 3 rounds")


def best(**said):
    return params.read({"keep_best": said or True})["keep_best"]


@pytest.mark.parametrize(
    ("said", "final", "kept"),
    [({}, 4, 3), ({}, 3, None), ({"monitor": "val_accuracy"}, 4, 1), ({"monitor": "loss", "mode": "max"}, 2, 1)],
)
def test_the_best_average_is_kept_of_equals_the_latest(said, final, kept):
    values = [(0.5, 0.9), (0.25, 0.5), (0.25, 0.75), (0.375, 0.625)]
    scores = {number: {"loss": loss, "accuracy": part} for number, (loss, part) in enumerate(values, 1)}
    found = stopping.kept_best(best(**said), scores, final)
    assert (found and found[0]) == kept


def test_a_rule_that_ends_training_keeps_the_best():
    scores = {number: {"loss": loss} for number, loss in enumerate([0.5, 0.25, 0.75, 1.0], 1)}
    asked = {**NONE, "early_stopping": rule(patience=2), "keep_best": best()}
    assert stopping.decided(asked, 5, scores, 0.0) == Stop(
        5,
        2,
        "early_stopping: val_loss was not better than 0.25 in 2 evaluations, the last of round 3; "
        "keep_best: val_loss of round 1 is 0.25, of round 3 it is 1",
    )


def test_a_metric_that_is_not_there_is_named_with_those_that_are():
    scores = {1: {"loss": 1.0, "accuracy": 0.5}}
    with pytest.raises(RunError) as error:
        stopping.decided({**NONE, "goal": {"mae": 1.0}}, 2, scores, 0.0)
    assert str(error.value) == "goal: got the metric mae, expected one of accuracy, loss"


def test_directions_are_those_of_keras():
    for row in keras_names.MEANS:
        for name in row:
            metric = getattr(keras.metrics, name, None)
            if isinstance(metric, type) and name != "MeanMetricWrapper":
                made = metric(2) if name == "k" else metric()
                expected = {"up": "max", "down": "min"}.get(getattr(made, "_direction", None))
                assert keras_names.direction(made.name) == (expected or keras_names.direction(made.name)), name
    assert [keras_names.direction(name) for name in ("loss", "kind_accuracy", "size_loss", "MY_MSE", "speed")] == [
        "min", "max", "min", "min", None,
    ]  # fmt: skip


RULE = "an object of monitor, patience, min_delta, mode"
REFUSED = [
    ("early_stopping", 3, f"got 3, expected {RULE}"),
    ("early_stopping", {"wait": 1}, f"got {{'wait': 1}}, expected {RULE}"),
    ("early_stopping", {"patience": -1}, "got {'patience': -1}, expected patience: 0..100000"),
    ("early_stopping", {"mode": "up"}, "got {'mode': 'up'}, expected mode: auto or min or max"),
    ("early_stopping", {"monitor": "s"}, "got {'monitor': 's'}, expected mode, min or max, as nothing tells it of s"),
    ("keep_best", 3, "got 3, expected true or an object of monitor, mode"),
    ("keep_best", {"monitor": "s"}, "got {'monitor': 's'}, expected mode, min or max, as nothing tells it of s"),
    ("keep_best", {"best": 1}, "got {'best': 1}, expected an object of monitor, mode"),
    ("goal", {}, "got {}, expected an object of one metric and its value, as {accuracy: 0.98}"),
    (
        "goal",
        {"auc": 0.9},
        "got {'auc': 0.9}, expected loss, or a metric that is a mean over examples by a name that tells its direction, "
        "as accuracy",
    ),
    ("goal", {"accuracy": "high"}, "got {'accuracy': 'high'}, expected a number for the metric"),
    ("max_seconds", 0, "got 0, expected a number above 0"),
]


@pytest.mark.parametrize(("name", "value", "sentence"), REFUSED)
def test_rules_that_are_refused(name, value, sentence):
    with pytest.raises(ParameterError) as error:
        params.read({name: value})
    assert str(error.value) == f"{name}: {sentence}"


@pytest.mark.parametrize(
    "rule_", [{"early_stopping": {}}, {"goal": {"loss": 0.1}}, {"keep_best": True}, {"reduce_on_plateau": {}}]
)
def test_a_test_set_never_steers(rule_):
    given = params.read({"dataset": "d", "model": "m", **rule_})
    (name,) = rule_
    with pytest.raises(ParameterError) as error:
        params.complete(given)
    assert str(error.value) == (f"validation: got nothing, expected a fraction or a dataset, as {name} steers by it")
    with pytest.raises(ParameterError) as error:
        params.complete({**given, "validation": 0.1, "evaluate": "end"})
    assert str(error.value) == f"evaluate: got end, expected rounds, as {name} steers by them"
