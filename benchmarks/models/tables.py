"""Models of tables: what they predict, and how it is measured."""

from typing import Any

import keras
import numpy as np
from keras import layers

from benchmarks.models.row import EXAMPLES, Row, chance, classes, classifier, compiled, normal, sequential, whole
from common.training.model import Data

SHAPE = (6,)


def table() -> Data:
    """Return six numbers an example, of four classes."""
    return normal(*SHAPE), classes()


def dense(units: int, activation: str | None = None) -> Any:
    """Return a hidden layer and an output."""
    return sequential(SHAPE, layers.Dense(12, "relu"), layers.Dense(units, activation))


def mlp() -> Any:
    """Dense layers alone."""
    metrics = ["accuracy", keras.metrics.SparseTopKCategoricalAccuracy(2)]
    return classifier(dense(4), "sgd", metrics)


def multi_label() -> Any:
    """Several labels at once."""
    return compiled(dense(5, "sigmoid"), "adam", keras.losses.BinaryFocalCrossentropy(), ["binary_accuracy"])


def smoothed() -> Any:
    """Classes as rows of zeros and a one."""
    loss = keras.losses.CategoricalCrossentropy(label_smoothing=0.1)
    return compiled(dense(4, "softmax"), "adam", loss, ["accuracy", keras.metrics.F1Score()])


def one_hot() -> Data:
    """Return labels as rows of zeros and a one."""
    return normal(*SHAPE), np.eye(4, dtype=np.float32)[classes()]


def regression() -> Any:
    """Two numbers."""
    return compiled(dense(2), "adam", "mse", ["mae", keras.metrics.RootMeanSquaredError(), keras.metrics.R2Score()])


def ordinal() -> Any:
    """Whether the grade is above 0, above 1, above 2: one slope, an intercept each."""
    taken = keras.Input(SHAPE)
    grade = layers.Dense(1, use_bias=False)(layers.Dense(8, "tanh")(taken))
    above = layers.Dense(3, "sigmoid", kernel_constraint="non_neg")(grade)
    return compiled(keras.Model(taken, above), "adam", "binary_crossentropy", ["mae"])


def grades() -> Data:
    """Return grades 0 to 3 as what they are above."""
    return normal(*SHAPE), (classes()[:, None] > np.arange(3)).astype(np.float32)


def poisson() -> Any:
    """How often something happens."""
    return compiled(dense(1, "exponential"), "adam", "poisson", ["mse"])


def huber() -> Any:
    """A number, with little heed to outliers."""
    return compiled(dense(1), "adam", keras.losses.Huber(0.5), ["mape"])


def hinge() -> Any:
    """A support vector machine."""
    model = sequential(SHAPE, layers.Dense(1, kernel_regularizer=keras.regularizers.L2(0.01)))
    return compiled(model, "sgd", "squared_hinge", ["hinge"])


def distilled() -> Any:
    """What another model believes."""
    return compiled(dense(4, "softmax"), "adam", "kl_divergence", ["cosine_similarity"])


def beliefs() -> Data:
    """Return a probability of each class."""
    return normal(*SHAPE), chance(8).dirichlet(np.ones(4), EXAMPLES).astype(np.float32)


def matched() -> Any:
    """A direction."""
    model = sequential(SHAPE, layers.Dense(12, "mish"), layers.Dense(5), layers.UnitNormalization())
    return compiled(model, "adam", keras.losses.CosineSimilarity(), ["cosine_similarity"])


def weighted() -> Any:
    """Examples that count more than others."""
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    return compiled(dense(4), "adam", loss, ["accuracy"], weighted_metrics=["accuracy"])


def weights() -> Data:
    """Return a weight an example beside the rest."""
    return (*table(), chance(9).uniform(0, 2, EXAMPLES).astype(np.float32))


def measured() -> Any:
    """Metrics that are no means over examples."""
    metrics = [keras.metrics.AUC(), keras.metrics.AUC(curve="PR", name="pr"), keras.metrics.Precision()]
    metrics += [keras.metrics.Recall(), keras.metrics.F1Score(threshold=0.5), keras.metrics.TruePositives()]
    metrics += [keras.metrics.SpecificityAtSensitivity(0.5), "accuracy"]
    return compiled(dense(1, "sigmoid"), "adam", "binary_crossentropy", metrics)


def tags() -> Data:
    """Return several labels at once."""
    return normal(*SHAPE), whole(2, 5, seed=2)


def values() -> Data:
    """Return two numbers to predict."""
    return normal(*SHAPE), normal(2, seed=2)


def value() -> Data:
    """Return one number to predict."""
    return normal(*SHAPE), normal(seed=2)


def counts() -> Data:
    """Return how often something happened."""
    return normal(*SHAPE), classes(6)


def signs() -> Data:
    """Return labels -1 and 1."""
    return normal(*SHAPE), classes(2) * 2 - 1


def directions() -> Data:
    """Return a vector to predict."""
    return normal(*SHAPE), normal(5)


def truths() -> Data:
    """Return labels 0 and 1, in a column."""
    return normal(*SHAPE), whole(2, 1, seed=2)


WEIGHED = "a run's `sample_weight` or `class_weight`"
NO_MEANS = "one trainer evaluates alone: these are no means of shares"
ROWS = (
    Row("mlp", "table", "Dense, top-k accuracy", mlp, table),
    Row("one-hot", "table", "CategoricalCrossentropy, label_smoothing, F1Score", smoothed, one_hot),
    Row("multi-label", "table, several labels", "sigmoid, BinaryFocalCrossentropy", multi_label, tags),
    Row("regression", "table", "mse, R2Score, RootMeanSquaredError", regression, values),
    Row("ordinal", "table, grades", "cumulative labels, NonNeg", ordinal, grades),
    Row("poisson", "table, counts", "poisson, exponential", poisson, counts),
    Row("huber", "table", "Huber", huber, value),
    Row("hinge", "table", "squared_hinge, L2", hinge, signs),
    Row("distilled", "table, probabilities", "kl_divergence", distilled, beliefs),
    Row("cosine", "table, directions", "UnitNormalization, CosineSimilarity", matched, directions),
    Row("sample-weight", "table", "a weight an example, weighted_metrics", weighted, weights, WEIGHED),
    Row("metrics", "table", "AUC, Precision, Recall, F1Score, TruePositives", measured, truths, NO_MEANS),
)
