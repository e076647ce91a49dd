"""An input of the model out of rows: columns side by side in one array; used by datasets of rows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from common.data import schema
from common.data.arrays import Array
from common.data.columns import Input
from common.data.rows import Cells, Column
from common.data.text import encoded
from common.errors import DatasetError

ONLY = "the inputs"  # what a sentence calls the array of the model's only input
WHOLE = {*"iub"}  # kinds of whole numbers, truth values among them


@dataclass(frozen=True)
class RowInput:
    """One input and its columns: one of arrays, or single numbers or texts side by side."""

    name: str  # of its array
    text: bool
    columns: tuple[Column, ...]

    def header(self, rows: int, means: Mapping[str, float] | None, widths: Mapping[str, int]) -> Array:
        """Return its array's header; `widths` are bytes of the longest text of each column."""
        shape = self.columns[0].shape or (len(self.columns),)
        return Array(self.name, (rows, *shape), self._dtype(means, widths))

    def values(self, cells: Sequence[Cells], dtype: str, means: Mapping[str, float] | None) -> NDArray[np.generic]:
        """Return rows of its array `(rows, *shape)` of its columns' cells; means stand for what is missing."""
        if self.columns[0].shape:
            return whole(self.columns[0], cells[0])
        if self.text:
            return np.stack([encoded(column.values, dtype) for column in cells], axis=1)
        rows = np.empty((len(cells[0].values), len(cells)), dtype)
        for place, (column, held) in enumerate(zip(self.columns, cells, strict=True)):
            mean = (means or {}).get(column.name, 0.0)
            rows[:, place] = np.where(held.missing, mean, held.values) if held.missing.any() else held.values
        return rows

    def _dtype(self, means: Mapping[str, float] | None, widths: Mapping[str, int]) -> str:
        """Return what its numbers are in one array: whole ones stay such, others have 32 bits."""
        if self.text:
            return f"|S{max(widths.get(column.name, 1) for column in self.columns)}"
        if self.columns[0].shape:
            return self.columns[0].dtype
        return "<f4" if means else whole_or_float(self.columns)


def inputs_of(held: Mapping[str, Column], inputs: Sequence[Input]) -> list[RowInput]:
    """Return a dataset's inputs; DatasetError for columns that no model takes."""
    found = []
    for one in inputs:
        columns = tuple(schema.usable(held, name, one.text) for name in one.columns)
        schema.check_input(one, columns)
        found.append(RowInput(f"input {one.name}" if len(inputs) > 1 else ONLY, one.text, columns))
    return found


def whole_or_float(columns: Sequence[Column]) -> str:
    """Return the type of an array of columns of numbers side by side."""
    return "<i8" if {np.dtype(column.dtype).kind for column in columns} <= WHOLE else "<f4"


def whole(column: Column, cells: Cells) -> NDArray[np.generic]:
    """Return a column's arrays; DatasetError where one is missing."""
    if cells.missing.any():
        raise DatasetError(f"column {column.name} has no value in some row, expected one in each, or missing: drop")
    return cells.values
