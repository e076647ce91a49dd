"""Models of tables: what their columns are made of before the first dense layer."""

from typing import Any

import keras
import numpy as np
from keras import layers

from benchmarks.models.row import EXAMPLES, Row, chance, classes, classifier, compiled, normal, sequential, whole
from common.training.model import Array, Data

COLOURS = ("red", "green", "blue", "grey")


def colours(columns: int = 1) -> Array:
    """Return text as a shard holds it: UTF-8 in bytes."""
    return chance(7).choice([*COLOURS, "black"], (EXAMPLES, columns)).astype("S8")


def numbers() -> Array:
    """Return numbers of very different sizes, side by side."""
    return (normal(5) * [1, 10, 100, 0.1, 1] + [0, 5, -50, 1, 0]).astype(np.float32)


def looked_up() -> Any:
    """Text by a vocabulary, numbers by their mean and variance."""
    colour, size = keras.Input((1,), dtype="string", name="colour"), keras.Input((5,), name="size")
    normalized = layers.Normalization()
    normalized.adapt(numbers())
    found = layers.StringLookup(vocabulary=[*COLOURS], output_mode="one_hot")(colour)
    hidden = layers.Concatenate()([found, normalized(size)])
    return classifier(keras.Model([colour, size], layers.Dense(4)(layers.Dense(8, "relu")(hidden))), "adam")


def goods() -> Data:
    """Return a text and five numbers an example."""
    return {"colour": colours(), "size": numbers()}, classes()


def integer_lookup() -> Any:
    """Numbers that are names, some of them unknown."""
    lookup = layers.IntegerLookup(num_oov_indices=2)
    lookup.adapt(whole(30, 3)[:50])
    body = [lookup, layers.Embedding(40, 4), layers.Flatten(), layers.Dense(4)]
    return classifier(sequential((3,), *body, dtype="int64"), "adam")


def hashed() -> Any:
    """Text by its hash, without a vocabulary."""
    body = [layers.Hashing(16, salt=7), layers.Embedding(16, 4), layers.Flatten(), layers.Dense(4)]
    return classifier(sequential((2,), *body, dtype="string"), "ftrl")


def crossed() -> Any:
    """Two columns as one, by the hash of both."""
    taken = [keras.Input((1,), dtype="string", name="colour"), keras.Input((1,), dtype="int64", name="shop")]
    found = layers.HashedCrossing(24, output_mode="one_hot")(taken)
    return classifier(keras.Model(taken, layers.Dense(4)(found)), "ftrl")


def encoded() -> Any:
    """Class numbers as several ones in a row of zeros."""
    taken = keras.Input((3,), dtype="int64")
    hidden = layers.CategoryEncoding(10, "multi_hot")(taken)
    return classifier(keras.Model(taken, layers.Dense(4)(layers.Dense(8, "elu")(hidden))), "adamax")


def discretized() -> Any:
    """Numbers by the interval they lie in."""
    bins = layers.Discretization(num_bins=6)
    bins.adapt(normal(3))
    body = [bins, layers.Embedding(6, 4), layers.Flatten(), layers.Dense(4)]
    return classifier(sequential((3,), *body), "adam")


def wide_and_deep() -> Any:
    """A linear model beside a deep one."""
    wide, deep = keras.Input((6,), name="wide"), keras.Input((5,), name="deep")
    hidden = layers.Dense(8, "relu")(layers.BatchNormalization()(layers.Dense(8, "relu")(deep)))
    logits = layers.Add()([layers.Dense(1, kernel_regularizer="l1")(wide), layers.Dense(1)(hidden)])
    loss = keras.losses.BinaryCrossentropy(from_logits=True)
    measured = keras.metrics.BinaryAccuracy(threshold=0.0)
    return compiled(keras.Model([wide, deep], logits), "ftrl", loss, [measured])


def two_towers() -> Any:
    """What a user thinks of a thing: two embeddings and their product."""
    user, thing = keras.Input((1,), dtype="int32", name="user"), keras.Input((1,), dtype="int32", name="thing")
    sides = [layers.Flatten()(layers.Embedding(20, 6, embeddings_regularizer="l2")(side)) for side in (user, thing)]
    return compiled(keras.Model([user, thing], layers.Dot(1)(sides)), "adam", "mse", ["mae"])


def opinions() -> Data:
    """Return a user, a thing, and what the one thinks of the other."""
    return {"user": whole(20, 1), "thing": whole(20, 1, seed=2)}, normal(1)


def deep_and_cross() -> Any:
    """Products of inputs, by layers that multiply."""
    taken = keras.Input((6,))
    hidden = taken
    for _ in range(2):
        hidden = layers.Add()([hidden, layers.Multiply()([taken, layers.Dense(6)(hidden)])])
    return classifier(keras.Model(taken, layers.Dense(4)(hidden)), "adam")


def tab_transformer() -> Any:
    """Attention between columns."""
    taken = keras.Input((4,), dtype="int32")
    hidden = layers.Embedding(12, 8)(taken)
    mixed = layers.MultiHeadAttention(2, 4)(hidden, hidden)
    hidden = layers.LayerNormalization()(layers.Add()([hidden, mixed]))
    return classifier(keras.Model(taken, layers.Dense(4)(layers.Flatten()(hidden))), "adamw")


def names() -> Data:
    """Return three numbers that are names."""
    return whole(40, 3), classes()


def words() -> Data:
    """Return two texts an example."""
    return colours(2), classes()


def places() -> Data:
    """Return a text and a number that is a name."""
    return {"colour": colours(), "shop": whole(9, 1)}, classes()


def digits() -> Data:
    """Return three class numbers an example."""
    return whole(10, 3), classes()


def sizes() -> Data:
    """Return three numbers an example."""
    return normal(3), classes()


def both() -> Data:
    """Return what a linear and a deep model take."""
    return {"wide": normal(6), "deep": numbers()}, classes(2)


ROWS = (
    Row("string-lookup", "table, text and numbers", "StringLookup, Normalization adapted", looked_up, goods),
    Row("integer-lookup", "table", "IntegerLookup adapted", integer_lookup, names),
    Row("hashing", "table of text", "Hashing", hashed, words),
    Row("hashed-crossing", "table, text and numbers", "HashedCrossing", crossed, places),
    Row("category-encoding", "table", "CategoryEncoding", encoded, digits),
    Row("discretization", "table", "Discretization adapted", discretized, sizes),
    Row("wide-and-deep", "table, two inputs", "BatchNormalization, l1", wide_and_deep, both),
    Row("two-towers", "table, two inputs", "Embedding, Dot, embeddings_regularizer", two_towers, opinions),
    Row("deep-and-cross", "table", "Multiply, Add", deep_and_cross, lambda: (normal(6), classes())),
    Row("tab-transformer", "table", "MultiHeadAttention", tab_transformer, lambda: (whole(12, 4), classes())),
)
