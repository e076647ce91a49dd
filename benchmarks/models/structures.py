"""What networks are made of, each in a small one of a table."""

from typing import Any

import keras
from keras import layers

from benchmarks.models.row import Row, classes, classifier, compiled, normal, sequential, whole
from benchmarks.models.tables import SHAPE, table
from common.training.model import Data


def three_outputs() -> Any:
    """Two inputs and three outputs, each with a loss of its own."""
    left, right = keras.Input((6,), name="left"), keras.Input((3,), name="right")
    hidden = layers.Dense(12, "relu")(layers.Concatenate()([left, right]))
    kind, size = layers.Dense(4, "softmax", name="kind")(hidden), layers.Dense(2, name="size")(hidden)
    sold = layers.Dense(1, "sigmoid", name="sold")(hidden)
    losses = ["sparse_categorical_crossentropy", "mse", "binary_crossentropy"]
    measures = [["accuracy"], ["mae", "mse"], [keras.metrics.AUC()]]
    return compiled(keras.Model([left, right], [kind, size, sold]), "adam", losses, measures)


def three_labels() -> Data:
    """Return two inputs and three kinds of labels."""
    y = {"kind": classes(), "size": normal(2, seed=3), "sold": whole(2, 1, seed=4)}
    return {"left": normal(6), "right": normal(3, seed=2)}, y


def frozen() -> Any:
    """A body that stays as it is, its batch normalization too, and a head that learns."""
    body = sequential(SHAPE, layers.Dense(12, "relu"), layers.BatchNormalization())
    body.trainable = False
    return classifier(sequential(SHAPE, body, layers.Dense(8, "relu"), layers.Dense(4)), "adam")


def nested() -> Any:
    """A Sequential and a Functional model within another."""
    block = sequential((8,), layers.Dense(8, "relu"), layers.BatchNormalization(momentum=0.8))
    entry = keras.Input((8,))
    residual = keras.Model(entry, layers.Add()([entry, layers.Dense(8)(block(entry))]))
    taken = keras.Input(SHAPE)
    return classifier(keras.Model(taken, layers.Dense(4)(residual(layers.Dense(8)(taken)))), "adam")


def self_normalizing() -> Any:
    """A network whose activations keep mean and variance."""
    body = [layers.Dense(12, "selu", kernel_initializer="lecun_normal"), layers.AlphaDropout(0.1)]
    body += [layers.GaussianDropout(0.1), layers.Dense(12), layers.PReLU(), layers.Dense(4)]
    return classifier(sequential(SHAPE, *body), "adam")


def constrained() -> Any:
    """Weights within limits."""
    first = layers.Dense(12, "relu", kernel_constraint=keras.constraints.MaxNorm(0.8))
    second = layers.Dense(12, "relu", kernel_constraint="non_neg", bias_constraint="non_neg")
    last = layers.Dense(4, kernel_constraint=keras.constraints.UnitNorm())
    return classifier(sequential(SHAPE, first, second, last), "adam")


def layer_norm() -> Any:
    """Normalization of each example by itself."""
    body = [layers.Dense(12), layers.LayerNormalization(), layers.Activation("softplus"), layers.Dense(4)]
    return classifier(sequential(SHAPE, *body), "nadam")


HELD = "put back into their limits where lanes were averaged"
ROWS = (
    Row("layer-norm", "table", "LayerNormalization", layer_norm, table),
    Row("self-normalizing", "table", "selu, AlphaDropout, GaussianDropout", self_normalizing, table, random=True),
    Row("constraints", "table", "MaxNorm, NonNeg, UnitNorm", constrained, table, HELD),
    Row("frozen", "table", "trainable = False, BatchNormalization within", frozen, table),
    Row("nested", "table", "a Sequential within a Functional within a Functional", nested, table),
    Row("three-outputs", "two inputs, three outputs", "losses and metrics in lists", three_outputs, three_labels),
)
