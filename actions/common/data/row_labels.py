"""Labels out of rows: what an output of the model is compared with, one column or several; used by datasets of rows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from common.data import schema
from common.data.arrays import Array
from common.data.classes import Classes
from common.data.columns import Label
from common.data.row_inputs import whole_or_float
from common.data.rows import Cells, Column


@dataclass(frozen=True)
class RowLabel:
    """Labels of one output: a column of numbers, arrays or classes; or single numbers side by side."""

    name: str  # of their array
    columns: tuple[Column, ...]
    classes: tuple[str, ...] | None

    def header(self, rows: int) -> Array:
        """Return their array's header."""
        if len(self.columns) > 1:
            return Array(self.name, (rows, len(self.columns)), whole_or_float(self.columns))
        return Array(self.name, (rows, *self.columns[0].shape), "<i8" if self.classes else self.columns[0].dtype)

    def values(self, cells: Sequence[Cells], dtype: str) -> NDArray[np.generic]:
        """Return rows of their array of their columns' cells."""
        if len(cells) > 1:
            return np.stack([column.values for column in cells], axis=1).astype(dtype, copy=False)
        if self.classes:
            return Classes(self.classes).numbers(f"column {self.columns[0].name}", cells[0].values)
        return cells[0].values


def labels_of(held: Mapping[str, Column], labels: Sequence[Label]) -> list[RowLabel]:
    """Return a dataset's labels; DatasetError for columns that no model is compared with."""
    found: list[RowLabel] = []
    for one in labels:
        columns = tuple(schema.usable(held, name) for name in one.columns)
        if len(columns) > 1:
            schema.check_side_by_side(columns, "as labels side by side")
        is_first = len(columns) == 1 and columns[0].name not in {other.name for other in found}
        name = columns[0].name if is_first else f"label {one.name}" if len(labels) > 1 else "the labels"
        found.append(RowLabel(name, columns, one.classes))
    return found
