"""Ways to train: optimizers and settings of compile, each with a small network."""

from functools import partial
from typing import Any

import keras
from keras import layers
from keras.optimizers import schedules

from benchmarks.models.row import Row, classifier, sequential
from benchmarks.models.tables import SHAPE, table

NO_RATE = "a run's `learning_rate` is refused, and use_ema in one of them"
RATES = schedules.PiecewiseConstantDecay([2, 4], [1e-2, 1e-3, 1e-4])


def trained(optimizer: Any, **given: Any) -> Any:
    """Return a small network with batch normalization; a function that makes the optimizer, as one serves one model."""
    body = [layers.Dense(12, "relu"), layers.BatchNormalization(momentum=0.9), layers.Dense(8, "tanh"), layers.Dense(4)]
    return classifier(sequential(SHAPE, *body), optimizer(), **given)


def several() -> Any:
    """Return a network of two optimizers, by the names of weights."""
    chosen = keras.optimizers.OptimizerMap(keras.optimizers.SGD(0.02), {".*bias": keras.optimizers.Adam(1e-3)})
    return trained(partial(keras.optimizers.MultiOptimizer, chosen))


def mixed(policy: str) -> Any:
    """Return a network that computes in 16 bits and keeps its weights in 32."""
    body = [layers.Dense(12, "relu", dtype=policy), layers.Dense(8, "relu", dtype=policy), layers.Dense(4)]
    return classifier(sequential(SHAPE, *body), keras.optimizers.LossScaleOptimizer(keras.optimizers.Adam(1e-3)))


def by(optimizer: str, exercises: str = "", note: str = "", **given: Any) -> Row:
    """Return the row of an optimizer."""
    name, kind = optimizer.lower(), getattr(keras.optimizers, optimizer)
    return Row(name, "an optimizer", exercises or optimizer, partial(trained, partial(kind, **given)), table, note)


def with_settings(name: str, exercises: str, note: str = "", **given: Any) -> Row:
    """Return the row of an Adam with settings."""
    return Row(name, "an optimizer", exercises, partial(trained, partial(keras.optimizers.Adam, **given)), table, note)


def set_up(name: str, exercises: str, note: str = "", **given: Any) -> Row:
    """Return the row of settings of compile."""
    build = partial(trained, partial(keras.optimizers.Adam, 1e-3), **given)
    return Row(name, "a setting of compile", exercises, build, table, note)


def sixteen(policy: str, exercises: str, note: str = "") -> Row:
    """Return the row of a policy of 16 bits."""
    return Row(policy.replace("_", "-"), "a dtype policy", exercises, partial(mixed, policy), table, note, close=1e-4)


ROWS = (
    by("SGD", "SGD with momentum, nesterov", learning_rate=0.02, momentum=0.9, nesterov=True),
    by("Adam", "Adam with amsgrad", amsgrad=True),
    by("AdamW", weight_decay=0.01),
    by("RMSprop", "RMSprop centered, with momentum", momentum=0.9, centered=True),
    by("Adagrad"),
    by("Adadelta", learning_rate=1.0),
    by("Adamax"),
    by("Nadam", note="its product of momenta, a scalar, is lane 0's"),
    by("Ftrl", l1_regularization_strength=0.01),
    by("Lion"),
    by("Lamb"),
    by("Adafactor"),
    by("Muon"),
    by("ScheduleFreeAdamW", warmup_steps=2),
    Row("multi-optimizer", "an optimizer", "MultiOptimizer of Adam and SGD", several, table, NO_RATE),
    with_settings("clipped", "clipnorm", clipnorm=0.1),
    with_settings("global-clipnorm", "global_clipnorm, weight_decay", global_clipnorm=0.1, weight_decay=0.01),
    with_settings("ema", "use_ema", "what is saved are the averages", use_ema=True, ema_momentum=0.9),
    with_settings("accumulated", "gradient_accumulation_steps", gradient_accumulation_steps=2),
    with_settings("schedule", "PiecewiseConstantDecay", "goes by a lane's own steps", learning_rate=RATES),
    sixteen("mixed_float16", "mixed_float16, LossScaleOptimizer"),
    sixteen("mixed_bfloat16", "mixed_bfloat16", "bfloat16 alone is refused"),
    set_up(
        "jit-compile",
        "jit_compile=True",
        "deterministic operations have no XLA: Keras warns, and leaves it out",
        jit_compile=True,
    ),
    set_up("steps-per-execution", "steps_per_execution", "a lane has its own loop", steps_per_execution=3),
)
