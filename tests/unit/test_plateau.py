"""When the learning rate is lowered: the rule beside Keras' own callback."""

from types import SimpleNamespace

import keras
import numpy as np
import pytest

from common.errors import ParameterError, RunError
from common.plan import params
from common.rounds import plateau

OBJECT = "an object of monitor, factor, patience, cooldown, min_delta, min_lr, mode"


def rule(**said):
    return params.read({"reduce_on_plateau": said})["reduce_on_plateau"]


def of_keras(values, said, begun):
    """Return the rate before each of some evaluations, and after the last, by Keras' ReduceLROnPlateau."""
    callback = keras.callbacks.ReduceLROnPlateau(**{**said, "monitor": "val_loss"})
    callback.set_model(SimpleNamespace(optimizer=keras.optimizers.SGD(begun), metrics=[]))
    callback.on_train_begin()
    rates = []
    for number, value in enumerate(values):
        rates.append(float(callback.model.optimizer.learning_rate))
        callback.on_epoch_end(number, {"val_loss": value})
    return [*rates, float(callback.model.optimizer.learning_rate)]


@pytest.mark.parametrize("seed", range(40))
@pytest.mark.parametrize("mode", ["min", "max"])
@pytest.mark.parametrize(
    "said",
    [
        {"factor": 0.5, "patience": 1, "min_delta": 0.0},
        {"factor": 0.1, "patience": 2, "cooldown": 2, "min_delta": 0.05},
        {"factor": 0.3, "patience": 0, "min_lr": 0.01, "min_delta": 0.0},
        {"factor": 0.7, "patience": 1, "cooldown": 1, "min_lr": 0.02},
    ],
)
def test_rates_are_keras_own(seed, mode, said):
    values = np.round(np.random.default_rng(seed).normal(size=16).cumsum() / 3, 2).tolist()
    scores = {number: {"loss": value} for number, value in enumerate(values, 1)}
    found = plateau.rates(rule(**said, mode=mode), 0.1, scores, len(values) + 2)
    assert found[0] == found[1] == plateau.narrow(0.1)  # what the second round starts from is scored when it ends
    assert found[1:] == of_keras(values, {**said, "mode": mode}, 0.1)


def test_the_defaults_are_keras_own():
    found = rule()
    callback = keras.callbacks.ReduceLROnPlateau()
    assert {name: getattr(callback, name) for name in ("factor", "patience", "cooldown", "min_delta", "min_lr")} == {
        name: value for name, value in found.items() if name not in ("monitor", "mode")
    }
    assert rule(min=0.001) == {**found, "min_lr": 0.001}


def test_a_metric_that_is_not_there_is_named():
    with pytest.raises(RunError) as error:
        plateau.rates(rule(monitor="accuracy"), 0.1, {1: {"loss": 1.0}}, 3)
    assert str(error.value) == "reduce_on_plateau: got the metric accuracy, expected one of loss"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (True, f"got True, expected {OBJECT}"),
        ({"delta": 1}, f"got {{'delta': 1}}, expected {OBJECT}"),
        ({"factor": 1.0}, "got {'factor': 1.0}, expected factor: a number between 0 and 1"),
        ({"cooldown": 0.5}, "got {'cooldown': 0.5}, expected cooldown: 0..100000"),
        ({"min_lr": -1}, "got {'min_lr': -1}, expected min_lr: a number of 0 or more"),
    ],
)
def test_rules_that_are_refused(value, expected):
    with pytest.raises(ParameterError) as error:
        params.read({"reduce_on_plateau": value})
    assert str(error.value) == f"reduce_on_plateau: {expected}"
