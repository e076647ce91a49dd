"""What a model's variables are: their names in a state, how each is averaged, which move by a decay an update.

Used by the learner (model.py), which alone hands them on; imports TensorFlow as that does.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import keras
import tensorflow as tf

from common.storage import state

Variables = dict[str, Any]


@dataclass(frozen=True)
class Moving:
    """Tensors that an update moves together, t = decay t + (1 - decay) new, and the graph's count of these updates."""

    names: tuple[str, ...]
    decay: float
    count: Any  # tf.Variable, int64


def named(model: Any) -> Variables:
    """Return all variables that training changes by the names that a state gives them."""
    known = {id(variable) for variable in model.weights}
    seeds = {id(variable): variable for variable in model.variables if id(variable) not in known}
    groups = {
        "trainable": model.trainable_variables,
        "weight": model.non_trainable_weights,
        "optimizer": model.optimizer.variables,
        "seed": seeds.values(),
    }
    return {
        f"{group}.{index:04d}.{variable.path}": variable
        for group, variables in groups.items()
        for index, variable in enumerate(variables)
    }


def rules(model: Any, variables: Variables) -> dict[str, str]:
    """Return what the reducer does with each tensor (state.py)."""
    names = {id(variable): name for name, variable in variables.items()}
    found = {
        name: state.rule(name, keras.backend.is_float_dtype(variable.dtype), tuple(variable.shape))
        for name, variable in variables.items()
    }
    for layer in batch_norms(model):
        if not layer.renorm:  # its variance follows from its deviation: `project` does that
            mean, variance = names[id(layer.moving_mean)], names[id(layer.moving_variance)]
            found[mean] = state.MOMENTS_MEAN + variance
            found[variance] = state.MOMENTS_VARIANCE + mean
    return found


def batch_norms(model: Any) -> Iterator[Any]:
    """Yield the batch normalization layers, wrapped and nested ones too, which Keras lists nowhere else."""
    for layer in model._flatten_layers():
        if isinstance(layer, keras.layers.BatchNormalization):
            yield layer


def optimizers(model: Any) -> Iterator[Any]:
    """Yield the optimizer, and those inside a LossScaleOptimizer or a MultiOptimizer."""
    waiting = [model.optimizer]
    while waiting:
        optimizer = waiting.pop(0)
        yield optimizer
        waiting += [inner] if (inner := getattr(optimizer, "inner_optimizer", None)) else []
        waiting += getattr(optimizer, "optimizers", [])


def moving(model: Any, variables: Variables) -> list[Moving]:
    """Return the moving averages of layers and optimizer; from here on the model counts their updates."""
    names = {id(variable): name for name, variable in variables.items()}
    found = []
    for layer in batch_norms(model):
        count = tf.Variable(0, dtype=tf.int64, trainable=False)
        layer.call = _counted_call(layer, layer.call, count)
        for decay, moved in _decays(layer).items():
            found.append(Moving(tuple(names[id(variable)] for variable in moved), decay, count))
    for optimizer in optimizers(model):
        if optimizer.use_ema:
            found.append(_moving_weights(optimizer, names))
    return found


def _decays(layer: Any) -> dict[float, list[Any]]:
    """Return a batch normalization's moving averages by their decay."""
    if not layer.renorm:
        return {layer.momentum: [layer.moving_mean, layer.moving_variance]}
    inference, training = [layer.moving_mean, layer.moving_stddev], [layer.renorm_mean, layer.renorm_stddev]
    if layer.momentum == layer.renorm_momentum:
        return {layer.momentum: inference + training}
    return {layer.momentum: inference, layer.renorm_momentum: training}


def _counted_call(layer: Any, call: Callable[..., Any], count: Any) -> Callable[..., Any]:
    """Return a layer's call that counts those which move its averages: Keras moves them in no others."""

    def counted(inputs: Any, training: Any = None, mask: Any = None) -> Any:
        if training and layer.trainable:
            count.assign_add(1)
        return call(inputs, training=training, mask=mask)

    return counted


def _moving_weights(optimizer: Any, names: dict[int, str]) -> Moving:
    """Return an optimizer's moving averages of the weights, which start at the weights themselves.

    Its first update replaces them, whatever they were: it is no decay, and not counted.
    """
    averages = optimizer._model_variables_moving_average
    count = tf.Variable(0, dtype=tf.int64, trainable=False)
    move = optimizer._update_model_variables_moving_average

    def counted(weights: Any) -> None:
        count.assign_add(tf.cast(optimizer.iterations != 0, tf.int64))
        move(weights)

    optimizer._update_model_variables_moving_average = counted
    if not int(optimizer.iterations):
        for weight, average in zip(optimizer._trainable_variables, averages, strict=True):
            average.assign(weight)
    return Moving(tuple(names[id(average)] for average in averages), float(optimizer.ema_momentum), count)


def project(model: Any) -> None:
    """Make weights keep what their layers promise: an average or a momentum of averages may not.

    After every step Keras applies constraints and, where batch normalization renormalizes, derives its variance.
    """
    for variable in model.trainable_variables:
        if variable.constraint is not None:
            variable.assign(variable.constraint(variable))
    for layer in batch_norms(model):
        if layer.renorm:
            layer.moving_variance.assign(keras.ops.relu(layer.moving_stddev**2 - layer.epsilon))
