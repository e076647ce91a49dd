"""A row of the catalogue: a compiled model with data of its kind; used by the files that hold the rows."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from common.training.model import Array, Data

EXAMPLES = 70  # four batches of 16, and a last one of 6


@dataclass(frozen=True)
class Row:
    """A model by its name: what kind it is, what of Keras and of this project it exercises, what a user should know.

    `random`: it draws numbers while it trains; plain Keras is given the same seeds. `close`: how far evaluations may
    be apart, relatively.
    """

    name: str
    kind: str
    exercises: str
    build: Callable[[], Any]
    data: Callable[[], Data]
    note: str = ""
    random: bool = False
    close: float = 1e-6

    def documented(self) -> str:
        """Return its line in docs/models.md."""
        return f"| `{self.name}` | {self.kind} | {self.exercises} | {self.note} |".replace("|  |", "| |")


def compiled(model: Any, optimizer: Any, loss: Any, metrics: Any = None, **given: Any) -> Any:
    """Return the model, compiled, with slots: Keras warns when it loads a file without them."""
    model.compile(optimizer, loss, metrics=metrics, **given)
    model.optimizer.build(model.trainable_variables)
    return model


def sequential(shape: Sequence[int | None], *body: Any, dtype: str | None = None) -> Any:
    """Return a Sequential model of one input."""
    return keras.Sequential([keras.Input(tuple(shape), dtype=dtype), *body])


def classifier(model: Any, optimizer: Any, metrics: Sequence[Any] = ("accuracy",), **given: Any) -> Any:
    """Return a model that gives logits of classes, compiled for class numbers."""
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    return compiled(model, optimizer, loss, [*metrics], **given)


def chance(seed: int = 1) -> np.random.Generator:
    """Return a source of the same random numbers every time."""
    return np.random.default_rng(seed)


def normal(*shape: int, seed: int = 1) -> Array:
    """Return numbers around 0, a row an example."""
    return chance(seed).normal(size=(EXAMPLES, *shape)).astype(np.float32)


def whole(below: int, *shape: int, seed: int = 1, dtype: str = "int64") -> Array:
    """Return whole numbers from 0 on, a row an example."""
    return chance(seed).integers(0, below, (EXAMPLES, *shape)).astype(dtype)


def classes(count: int = 4, seed: int = 2) -> Array:
    """Return a class number an example."""
    return whole(count, seed=seed)


def images(size: int = 8, channels: int = 3) -> Data:
    """Return pictures of bytes, of four classes."""
    return whole(256, size, size, channels, dtype="uint8"), classes()
