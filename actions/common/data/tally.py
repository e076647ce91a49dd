"""What a first look over all rows of some columns finds: what is missing, what no number holds, the classes' names."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from common.data.classes import Classes
from common.data.rows import TEXT, Cells, Column
from common.data.text import widest
from common.errors import DatasetError

NAMED = (TEXT, "|b1")  # kinds of labels whose names become class numbers
FLOAT32 = float(np.finfo(np.float32).max)  # what the trainers' numbers hold


@dataclass
class Tally:
    """One column's cells, counted."""

    column: Column
    missing: int = 0
    first_missing: int | None = None  # the row, from 1
    sum: float = 0.0  # of numbers
    classes: Classes | None = None  # of labels that are text or truth values
    width: int | None = None  # bytes of the longest text of an input

    def add(self, cells: Cells, first: int) -> None:
        """Take in cells from row `first` on; DatasetError for what 32 bits do not hold."""
        if cells.missing.any():
            self.missing += int(np.count_nonzero(cells.missing))
            if self.first_missing is None:
                self.first_missing = first + int(np.argmax(cells.missing))
        if self.classes:
            self.classes.add(self.column.name, cells.values[~cells.missing])
        if self.width is not None:
            self.width = max(self.width, widest(self.column.name, cells.values, first))
        if self.column.dtype == TEXT:
            return
        if np.dtype(self.column.dtype).kind == "f":
            self._check(cells, first)
        self.sum += float(cells.values.sum(dtype=np.float64)) if not self.column.shape else 0.0

    def mean(self, rows: int) -> float:
        """Return the mean of what is there, of so many rows."""
        return self.sum / max(1, rows - self.missing)

    def _check(self, cells: Cells, first: int) -> None:
        bad = ~(np.abs(cells.values) <= FLOAT32).reshape(len(cells.values), -1).all(axis=1)
        if (bad & ~cells.missing).any():
            row = int(np.argmax(bad & ~cells.missing))
            value = cells.values[row] if not self.column.shape else "NaN or infinity"
            raise DatasetError(
                f"column {self.column.name}: got {value} in row {first + row}, expected numbers that 32 bits hold"
            )


def taken(
    columns: Sequence[Column], labels: Sequence[Column], texts: Sequence[Column], batches: Iterator[list[Cells]]
) -> tuple[list[Tally], int]:
    """Return the tallies of some columns over all their batches, and how many rows lack nothing.

    `labels`, `texts`: those of them that may name classes, that are inputs of text.
    """
    tallies, first, whole = [Tally(column) for column in columns], 1, 0
    for tally in tallies:
        tally.classes = Classes() if tally.column in labels and tally.column.dtype in NAMED else None
        tally.width = 1 if tally.column in texts else None
    for batch in batches:
        for tally, cells in zip(tallies, batch, strict=True):
            tally.add(cells, first)
        first += len(batch[0].missing)
        whole += int(np.count_nonzero(complete(batch)))
    return tallies, whole


def complete(batch: Sequence[Cells]) -> NDArray[np.bool_]:
    """Return which rows `(rows,)` of some columns lack nothing."""
    whole = np.ones(len(batch[0].missing), np.bool_)
    for cells in batch:
        whole &= ~cells.missing
    return whole
