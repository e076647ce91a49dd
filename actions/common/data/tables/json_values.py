"""Values of JSON: what all values of a column are, and what they are as an array; used by the reader of JSON lines."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from common.data.rows import TEXT, Cells, Column
from common.errors import shown

WORDS = {bool: "truth values", int: "numbers", float: "numbers", str: "text", list: "lists", dict: "objects"}
LARGEST = 2**63


@dataclass
class Kind:
    """What the values of a column met so far are."""

    name: str
    types: dict[type, str] = field(default_factory=dict)  # with the first value of each: "row 7 'many'"
    shapes: dict[tuple[int, ...] | str, str] = field(default_factory=dict)  # of lists, or what else they are
    whole: bool = True

    def add(self, value: Any, row: int) -> None:
        """Take in the value of a row; null, NaN and what is not there are missing."""
        kind = type(value)
        if value is None or (kind is float and math.isnan(value)):
            return
        if kind not in self.types:
            self.types[kind] = f"row {row} {shown(value)}"
        if kind is float or (kind is int and not -LARGEST <= value < LARGEST):
            self.whole = False
        elif kind is list:
            self._look(value, row)

    def column(self) -> Column:
        """Return what the column is, after all its values."""
        words = {WORDS[kind]: where for kind, where in reversed(self.types.items())}
        if not words:
            return Column(self.name, "<f8", unusable="no value in any row")
        if len(words) > 1:
            found = " and ".join(f"{word} ({where})" for word, where in sorted(words.items()))
            return Column(self.name, "<f8", unusable=found)
        (word,) = words
        plain = {"truth values": "|b1", "numbers": "<i8" if self.whole else "<f8", "text": TEXT}
        return Column(self.name, plain[word]) if word in plain else self._lists(word)

    def _look(self, value: list[Any], row: int) -> None:
        array = numbers(value)
        shape = "other than numbers of one shape" if array is None else array.shape
        self.shapes.setdefault(shape, f"row {row}")
        if array is not None and array.dtype.kind == "f":
            self.whole = False

    def _lists(self, word: str) -> Column:
        if word == "objects":
            return Column(self.name, "<f8", unusable=f"objects ({self.types[dict]})")
        if len(self.shapes) > 1 or isinstance(next(iter(self.shapes)), str):
            found = " and ".join(f"{shape} ({where})" for shape, where in list(self.shapes.items())[:2])
            return Column(self.name, "<f8", unusable=f"lists of {found}")
        (shape,) = self.shapes
        return Column(self.name, "<i8" if self.whole else "<f8", tuple(int(axis) for axis in shape))


def numbers(value: list[Any]) -> NDArray[Any] | None:
    """Return lists of numbers as an array, None where they are none or of several lengths."""
    try:
        array = np.array(value)
    except (ValueError, OverflowError):
        return None
    return array if array.dtype.kind in "iuf" and array.size else None


def values(column: Column, held: Sequence[Any]) -> Cells:
    """Return the values of a column `(rows, *shape)`."""
    missing = np.array([value is None or value != value for value in held], np.bool_)  # NaN is unlike itself
    if column.dtype == TEXT:
        texts = np.empty(len(held), object)
        texts[:] = ["" if value is None else value for value in held]
        return Cells(texts, missing)
    found = np.zeros((len(held), *column.shape), column.dtype)
    for row, value in enumerate(held):
        if not missing[row]:
            found[row] = value
    return Cells(found, missing)
