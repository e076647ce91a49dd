"""A dataset of rows: tables, or images with their labels, of one file or of several; used by planner and splitter."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from common.data import schema
from common.data.arrays import Array, Pair
from common.data.classes import Classes
from common.data.columns import Asked, Columns
from common.data.npy import EXAMPLE_BYTES, EXAMPLES
from common.data.rows import Cells, Column, RowFile
from common.data.tally import Tally, complete, taken
from common.errors import DatasetError, placed, shown

TEST = "test: "  # begins the names of a test set's arrays
INPUTS = "the inputs"  # what a sentence calls their array
WHOLE = {*"iub"}  # kinds of whole numbers, truth values among them


class RowFiles:
    """Rows of one or more files of the same columns, one after the other; `place` begins what is said of them.

    With the columns and the number of rows of a plan, the cells are not looked over again.
    """

    kind = "columns"  # what a sentence calls its parts

    def __init__(self, files: Sequence[RowFile], place: str, asked: Asked, like: Columns | None, rows: int) -> None:
        self.files, self.place = files, place
        with placed(place):
            self.held = schema.together([file.columns for file in files])
            self.columns = like or schema.chosen(self.held, asked)
            self.inputs = [schema.usable(self.held, name) for name in self.columns.inputs]
            self.label = schema.usable(self.held, self.columns.label)
            self.weight = schema.usable(self.held, self.columns.weight) if self.columns.weight else None
            schema.check_inputs(self.inputs)
            if self.weight:
                schema.check_weight(self.weight)
            self.group = schema.usable(self.held, self.columns.group) if self.columns.group else None
            self.rows = rows if like and rows else self._look(like)

    def training(self) -> Pair:
        """Return the training set: all rows that are kept."""
        shape = self.inputs[0].shape or (len(self.inputs),)
        dtype = "<i8" if self.columns.classes else self.label.dtype
        x = Array(INPUTS, (self.rows, *shape), self._dtype())
        y = Array(self.label.name, (self.rows, *self.label.shape), dtype)
        pair = Pair(x, y, self._array(self.weight), self._array(self.group))
        if pair.x.row_bytes > EXAMPLE_BYTES or self.rows > EXAMPLES:
            got = f"{self.rows} rows of {pair.x.row_bytes} bytes"
            raise DatasetError(f"{self.place}: got {got}, expected at most {EXAMPLES} of {EXAMPLE_BYTES}")
        return pair

    def _array(self, column: Column | None) -> Array | None:
        return Array(column.name, (self.rows, *column.shape), column.dtype) if column else None

    def held_out(self) -> Pair:
        """Return a held-out file's set: all its rows."""
        return replace(self.training(), weight=None, group=None)

    def test(self) -> Pair | None:
        """Return the test set that lies beside the training set in the same files, if there is one."""
        if not any(file.test for file in self.files):
            return None
        pair = self._beside(0).training()
        return Pair(*(replace(array, name=f"{TEST}{array.name}") for array in (pair.x, pair.y)))

    def unused(self) -> list[str]:
        """Return the names of columns that no training uses."""
        return sorted(self.held.keys() - {column.name for column in self._used()})

    def chunks(self, array: Array) -> Iterator[NDArray[Any]]:
        """Yield the inputs `(rows, *shape)` where the array is INPUTS, else the column of its name, batch by batch."""
        if array.name.startswith(TEST):
            yield from self._beside(array.shape[0]).chunks(replace(array, name=array.name.removeprefix(TEST)))
            return
        wanted = self.inputs if array.name == INPUTS else [self.held[array.name]]
        read = self._used() if self.columns.missing == "drop" else wanted
        with placed(self.place):
            for batch in self._batches(read):
                kept = complete(batch) if read is not wanted else slice(None)
                cells = [Cells(one.values[kept], one.missing[kept]) for one in batch]
                if not len(cells[0].missing):
                    continue
                chosen = [cells[read.index(column)] for column in wanted]
                yield self._inputs(chosen) if array.name == INPUTS else self._labels(array.name, chosen[0])

    def _beside(self, rows: int) -> "RowFiles":
        held = [file.test for file in self.files if file.test]
        return RowFiles(held, f"{self.place}: test set", Asked(), replace(self.columns, weight=None, group=None), rows)

    def _used(self) -> list[Column]:
        return [*self.inputs, self.label, *(one for one in (self.weight, self.group) if one)]

    def _look(self, like: Columns | None) -> int:
        """Take in the cells that are used; return how many rows are kept.

        Arrays of an example each are left to the splitter, where they may not be missing: images take minutes.
        """
        drops = self.columns.missing == "drop"
        looked_at = [column for column in self._used() if drops or not column.shape]
        tallies, whole = taken(looked_at, self.label, self._batches(looked_at)) if looked_at else ([], 0)
        rows = whole if drops else sum(file.rows for file in self.files)
        if not rows:
            raise DatasetError("got no row without a missing value, expected at least one")
        if not drops:
            check_missing(tallies, self.inputs, self.columns.missing)
        names = next((one.classes.sorted() for one in tallies if one.classes), None)
        if like:
            check_names(self.label, like, names)
        else:
            means = tuple(one.mean(rows) for one in tallies if one.column in self.inputs)
            self.columns = replace(self.columns, classes=names, means=means if self.columns.missing == "mean" else None)
        return rows

    def _batches(self, columns: Sequence[Column]) -> Iterator[list[Cells]]:
        names = [column.name for column in columns]
        for number, file in enumerate(self.files, 1):
            with placed(f"part {number}" if len(self.files) > 1 else None):
                yield from file.batches(names)

    def _dtype(self) -> str:
        """Return what the inputs are in one array: whole numbers stay such, others have 32 bits."""
        if self.inputs[0].shape:
            return self.inputs[0].dtype
        whole = {np.dtype(column.dtype).kind for column in self.inputs} <= WHOLE
        return "<i8" if whole and not self.columns.means else "<f4"

    def _inputs(self, batch: list[Cells]) -> NDArray[Any]:
        if self.inputs[0].shape:
            return whole(self.inputs[0], batch[0])
        rows = np.empty((len(batch[0].values), len(batch)), self._dtype())
        means = self.columns.means or (0.0,) * len(batch)
        for column, (cells, mean) in enumerate(zip(batch, means, strict=True)):
            rows[:, column] = np.where(cells.missing, mean, cells.values) if cells.missing.any() else cells.values
        return rows

    def _labels(self, name: str, cells: Cells) -> NDArray[Any]:
        if self.columns.classes is None or name != self.columns.label:
            return cells.values
        return Classes(self.columns.classes).numbers(f"column {self.columns.label}", cells.values)


def whole(column: Column, cells: Cells) -> NDArray[Any]:
    """Return a column's arrays; DatasetError where one is missing."""
    if cells.missing.any():
        raise DatasetError(f"column {column.name} has no value in some row, expected one in each, or missing: drop")
    return cells.values


def check_names(label: Column, like: Columns, names: tuple[str, ...] | None) -> None:
    """Refuse a held-out set whose labels are not the training set's."""
    if like.classes and names is None:
        got = schema.described(label)
        raise DatasetError(f"column {label.name} holds {got}, expected text as in training")
    if unknown := set(names or ()) - set(like.classes or ()):
        raise DatasetError(
            f"column {label.name}: got the label {shown(min(unknown))}, expected one of the training set's"
        )


def check_missing(tallies: Sequence[Tally], inputs: Sequence[Column], missing: str | None) -> None:
    """Refuse a column with missing values, unless it is an input of numbers and `missing` says what they become."""
    for tally in tallies:
        fillable = tally.column in inputs and not tally.column.shape
        if tally.missing and not (missing and fillable):
            rows = "1 row" if tally.missing == 1 else f"{tally.missing} rows"
            ways = "drop, zero or mean" if fillable else "drop"
            got = f"column {tally.column.name} has no value in {rows}, the first is row {tally.first_missing}"
            raise DatasetError(f"{got}, expected one in each, or missing: {ways}")
