"""What each example weighs in the loss: its own weight, times its class's; used by the splitter."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from common.data import shards
from common.data.columns import named
from common.errors import DatasetError, ParameterError, shown

Factors = NDArray[np.float32]  # what the examples of each class weigh, (classes,)


@dataclass(frozen=True)
class Weights:
    """What weighs an example: its class, where `groups` has it, and the number that it brings."""

    factors: Factors | None = None
    groups: shards.Groups | None = None

    def of(self, first: int, examples: int, own: NDArray[Any] | None) -> NDArray[np.float32]:
        """Return the weights `(examples,)` from example `first` on; DatasetError for one of their own below 0."""
        weights = np.ones(examples, np.float32) if own is None else checked(first, own)
        if self.factors is None or self.groups is None:
            return weights
        return weights * self.factors[self.groups[first : first + examples]]


def checked(first: int, rows: NDArray[Any]) -> NDArray[np.float32]:
    """Return the examples' own weights `(rows,)`; DatasetError for one below 0."""
    weights = rows.astype(np.float32, copy=False).ravel()
    if (weights < 0).any():
        row = int(np.argmax(weights < 0))
        raise DatasetError(f"sample_weight: example {first + row} got {weights[row]}, expected 0 or more")
    return weights


def balanced(groups: shards.Groups, owner: NDArray[np.int8]) -> Factors:
    """Return factors by which all classes weigh the same in the training set.

    n / (classes * count), of the examples that a shard owns. Origin: class_weight="balanced" of scikit-learn.
    """
    counts = np.zeros(int(groups.max()) + 1, np.int64)
    for first in range(0, len(groups), shards.BLOCK):
        block = slice(first, first + shards.BLOCK)
        counts += np.bincount(groups[block][owner[block] >= 0], minlength=len(counts))
    factors: NDArray[np.float64] = counts.sum() / (len(counts) * np.maximum(counts, 1))
    return factors.astype(np.float32)


def given(asked: Mapping[str, float], classes: Sequence[str]) -> Factors:
    """Return factors as asked for, 1 for a class without one; ParameterError for a class that there is not."""
    if unknown := sorted(asked.keys() - {*classes}):
        raise ParameterError(
            f"class_weight: got class {shown(unknown[0])}, expected one of {named(classes, 'classes')}"
        )
    return np.array([asked.get(name, 1.0) for name in classes], np.float32)


def class_names(blocks: Iterable[NDArray[Any]]) -> list[str]:
    """Return the names of the classes that labels are, in the order of their numbers."""
    found: set[int] = set()
    for labels in blocks:
        named_classes = shards.class_labels(labels)
        if named_classes is not None:
            found.update(int(label) for label in np.unique(named_classes))
    return [str(label) for label in sorted(found)]
