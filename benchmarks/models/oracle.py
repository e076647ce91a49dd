"""What the checks compare with: plain Keras, and the arithmetic of moving averages; knows nothing of lanes."""

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from common.training.model import Array, Data


def plain(path: Path) -> Any:
    """Return a model as Keras itself loads it."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Skipping variable loading for optimizer")
        return keras.models.load_model(path)


def give_seeds(model: Any, seeds: Sequence[Array]) -> None:
    """Let a model draw the numbers that a lane of these seeds draws."""
    generators = [variable for variable in model.variables if variable.path.endswith("seed_generator_state")]
    for generator, value in zip(generators, seeds, strict=True):
        generator.assign(value)


def as_keras(model: Any, data: Data) -> Data:
    """Return data as a user gives them: text as strings, labels in a list where the model gives its outputs so."""
    x, y, *others = data
    labels = [*y.values()] if isinstance(y, dict) and not isinstance(model.output, dict) else y
    return (
        keras.tree.map_structure(lambda one: tf.constant(one) if one.dtype.kind == "S" else one, x),
        labels,
        *others,
    )


def variables(model: Any) -> list[Any]:
    """Return weights and slots, in an order that two models of one file share."""
    return [*model.trainable_variables, *model.non_trainable_weights, *model.optimizer.variables]


def moved(model: Any, steps: int) -> dict[str, tuple[float, int]]:
    """Return {group and number of a moving average in a state: its decay, and its updates in a lane of some steps}."""
    found = {}
    places = {id(variable): f"weight.{k:04d}" for k, variable in enumerate(model.non_trainable_weights)}
    places |= {id(variable): f"optimizer.{k:04d}" for k, variable in enumerate(model.optimizer.variables)}
    for layer in model._flatten_layers():
        if isinstance(layer, keras.layers.BatchNormalization) and layer.trainable:
            for variable in (layer.moving_mean, layer.moving_variance):
                found[places[id(variable)]] = (layer.momentum, steps)
    if model.optimizer.use_ema:
        for variable in model.optimizer._model_variables_moving_average:
            found[places[id(variable)]] = (model.optimizer.ema_momentum, steps - 1)  # the first one replaces it
    return found


def forward(start: Array, one: Array, decay: float, updates: int, lanes: int) -> Array:
    """Return a moving average after all lanes' updates: of what a lane saw, as much as those leave of the start."""
    begin, kept = start.astype(np.float64), decay**updates
    seen = (one - kept * begin) / (1 - kept)
    return np.asarray(begin * kept**lanes + (1 - kept**lanes) * seen)


def optimizer_of(model: Any) -> str:
    """Return what an optimizer is called, and the one within."""
    inner = getattr(model.optimizer, "inner_optimizer", None)
    return type(model.optimizer).__name__ + (f" of {type(inner).__name__}" if inner else "")
