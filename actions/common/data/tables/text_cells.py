"""Cells of text: what all cells of a column are, and their values; used by the reader of delimited text.

All columns of a batch are one array, one column after the other: a call of pyarrow costs more than the cells of a
column, where there are thousands of columns.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow
import pyarrow.compute as compute
from numpy.typing import NDArray

from common.data.rows import TEXT, Cells, Column
from common.errors import shown

WHOLE = r"^[+-]?\d{1,18}$"  # within 64 bits
NUMBER = r"^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$|^[+-]?(?i:inf|infinity)$"
TRUTH = r"^(?i:true|false)$"


class Kinds:
    """What the cells met so far are, a value a column; all cells of a column must be of a kind for it to be of it."""

    def __init__(self, names: Sequence[str]) -> None:
        self.names = names
        self.whole, self.number, self.truth = (np.ones(len(names), np.bool_) for _ in range(3))
        self.some_number = np.zeros(len(names), np.bool_)
        self.first_text: dict[int, str] = {}  # by column: "row 7 'many'"

    def add(self, batch: Sequence[Any], first: int) -> None:
        """Take in columns of cells, from row `first` on."""
        cells, rows = trimmed(batch), len(batch[0])
        self._narrow(self.truth, cells, rows, TRUTH)
        self._narrow(self.whole, cells, rows, WHOLE)
        open_ = np.flatnonzero(~self.whole & (self.number | ~self.some_number))
        numbers = matches(cells, rows, open_, NUMBER, missing=True)
        self.some_number[open_] |= matches(cells, rows, open_, NUMBER, missing=False).any(axis=1)
        for column, row in zip(open_, np.argmin(numbers, axis=1), strict=True):
            if self.number[column] and not numbers[np.searchsorted(open_, column), row]:
                self.number[column] = False
                self.first_text[int(column)] = f"row {first + row} {shown(cells[column * rows + row].as_py())}"
        self.some_number |= self.whole & ~self.truth

    def columns(self) -> list[Column]:
        """Return what the columns are, after all their cells."""
        return [self._column(place, name) for place, name in enumerate(self.names)]

    def _narrow(self, kind: NDArray[np.bool_], cells: Any, rows: int, pattern: str) -> None:
        open_ = np.flatnonzero(kind)
        kind[open_] = matches(cells, rows, open_, pattern, missing=True).all(axis=1)

    def _column(self, place: int, name: str) -> Column:
        if self.truth[place] and self.whole[place]:
            return Column(name, "<f8", unusable="no value in any row")
        if self.truth[place] or self.number[place]:
            return Column(name, "|b1" if self.truth[place] else "<i8" if self.whole[place] else "<f8")
        return Column(name, TEXT, no_number=self.first_text.get(place, "") if self.some_number[place] else "")


def trimmed(batch: Sequence[Any]) -> Any:
    """Return all cells in one array, without the spaces around them; those of spaces alone are missing."""
    texts = compute.utf8_trim_whitespace(pyarrow.concat_arrays(batch))
    return compute.if_else(compute.equal(texts, ""), pyarrow.scalar(None, pyarrow.string()), texts)


def matches(cells: Any, rows: int, columns: NDArray[np.int64], pattern: str, missing: bool) -> NDArray[np.bool_]:
    """Return which cells `(columns, rows)` match a pattern; what those that are missing do is given."""
    if not len(columns):
        return np.zeros((0, rows), np.bool_)
    chosen = pyarrow.concat_arrays([cells.slice(column * rows, rows) for column in columns])
    found = compute.match_substring_regex(chosen, pattern).fill_null(missing)
    matched: NDArray[np.bool_] = found.to_numpy(zero_copy_only=False)
    return matched.reshape(len(columns), rows)


def values(batch: Sequence[Any], dtypes: Sequence[str]) -> list[Cells]:
    """Return columns of cells as what each column is."""
    cells, rows = trimmed(batch), len(batch[0])
    found: dict[int, Cells] = {}
    for dtype in set(dtypes):
        places = [place for place, one in enumerate(dtypes) if one == dtype]
        some = pyarrow.concat_arrays([cells.slice(place * rows, rows) for place in places])
        shape = (len(places), rows)
        missing = some.is_null().to_numpy(zero_copy_only=False).reshape(shape)
        numbers = converted(some, dtype).to_numpy(zero_copy_only=False).reshape(shape)
        found |= {place: Cells(numbers[k], missing[k]) for k, place in enumerate(places)}
    return [found[place] for place in range(len(dtypes))]


def converted(cells: Any, dtype: str) -> Any:
    """Return cells of text as numbers, truth values or text."""
    if dtype == TEXT:
        return cells.fill_null("")
    if dtype == "|b1":
        return compute.equal(compute.utf8_lower(cells.fill_null("false")), "true")
    if dtype == "<i8":
        return compute.cast(compute.utf8_ltrim(cells.fill_null("0"), "+"), pyarrow.int64())
    return compute.cast(cells.fill_null("0"), pyarrow.float64())
