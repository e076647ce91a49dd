"""Classes that are named by text or truth values: their names in sorted order, and the numbers that shards hold."""

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from common.data.shards import CLASSES
from common.errors import DatasetError, shown

NAME_CHARACTERS = 200


class Classes:
    """The distinct labels met so far, or known from the start."""

    def __init__(self, known: Iterable[str] = ()) -> None:
        self.known = {name: number for number, name in enumerate(known)}

    def add(self, column: str, labels: NDArray[Any]) -> None:
        """Take in labels `(rows,)`; DatasetError for more than are classes."""
        for name in set(as_text(labels).tolist()):
            if len(name) > NAME_CHARACTERS:
                raise DatasetError(f"{column}: got a text of {len(name)} characters, expected the names of classes")
            self.known.setdefault(name, len(self.known))
        if len(self.known) > CLASSES:
            raise DatasetError(f"{column}: got more than {CLASSES} different texts, expected the names of classes")

    def sorted(self) -> tuple[str, ...]:
        """Return the names in the order of their numbers."""
        return tuple(sorted(self.known))

    def numbers(self, column: str, labels: NDArray[Any]) -> NDArray[np.int64]:
        """Return labels `(rows,)` as class numbers; DatasetError for one that the training set has not."""
        values, places = np.unique(as_text(labels), return_inverse=True)
        unknown = [value for value in values.tolist() if value not in self.known]
        if unknown:
            raise DatasetError(f"{column}: got the label {shown(unknown[0])}, expected one of the training set's")
        return np.array([self.known[value] for value in values.tolist()], np.int64)[places]


def as_text(labels: NDArray[Any]) -> NDArray[Any]:
    """Return labels as text: truth values as JSON writes them, bytes as UTF-8."""
    if labels.dtype.kind == "b":
        return np.where(labels, "true", "false")
    return np.strings.decode(labels, "utf-8", "replace") if labels.dtype.kind == "S" else labels
