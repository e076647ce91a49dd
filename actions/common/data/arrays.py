"""The arrays of a set by their headers: name, shape and type; used by planner, splitter and reducer."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Array:
    """An array's header: its name in the .npz, shape and dtype; text is of bytes, UTF-8, zeros behind it."""

    name: str
    shape: tuple[int, ...]
    dtype: str

    @property
    def row_bytes(self) -> int:
        """Bytes of one example."""
        return math.prod(self.shape[1:]) * np.dtype(self.dtype).itemsize


@dataclass(frozen=True)
class Pair:
    """Inputs and labels of one set, and what each example weighs and belongs to, where it does; all equally long."""

    x: tuple[Array, ...]  # in the order of the model's inputs
    y: tuple[Array, ...]  # in the order of its outputs
    weight: Array | None = None
    group: Array | None = None

    @property
    def examples(self) -> int:
        """How many there are."""
        return self.y[0].shape[0]

    def data(self) -> dict[str, Array]:
        """Return what a model is evaluated on, by the names that stored arrays have."""
        return dict(zip(data_names(len(self.x), len(self.y)), (*self.x, *self.y), strict=True))


def data_names(inputs: int, outputs: int) -> list[str]:
    """Return the stored names of the arrays of so many inputs and outputs."""
    return [*stored_names("x", inputs), *stored_names("y", outputs)]


def stored_names(stem: str, count: int) -> list[str]:
    """Return the stored names of so many arrays; by numbers, as a model may name its inputs by any text."""
    return [stem] if count == 1 else [f"{stem}-{number}" for number in range(count)]


def stored_dtype(dtype: str) -> np.dtype[Any]:
    """Return what a shard stores: little-endian, and no float wider than the 32 bits that training uses."""
    given = np.dtype(dtype)
    return np.dtype("<f4") if given.kind == "f" and given.itemsize > 4 else given.newbyteorder("<")
