"""What every reader of rows gives, of a table or of images with labels: its columns, and their cells by batches."""

from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any, BinaryIO, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

Open = Callable[[], BinaryIO]  # a file from its start, as often as asked; `seekable()` unless it is being unpacked
TEXT = "U"
BATCH_BYTES = 8 << 20  # of the cells of a batch


@dataclass(frozen=True)
class Column:
    """A column: of numbers or truth values (`dtype` as NumPy writes it, "<f4"), of TEXT, or of what no model takes."""

    name: str
    dtype: str
    shape: tuple[int, ...] = ()  # of one cell
    unusable: str = ""  # what it holds that cannot be trained on: "dates (timestamp[ms])"
    no_number: str = ""  # of TEXT: the first cell that is no number, where others are: "row 7 'many'"


@dataclass(frozen=True)
class Cells:
    """Some rows of a column; missing cells hold zeros, or the empty text."""

    values: NDArray[Any]  # (rows, *shape); of TEXT: objects, each a str
    missing: NDArray[np.bool_]  # (rows,)


class RowFile(Protocol):
    """A file of rows: its columns in their order, how many `rows`, and the cells of columns from front to back.

    DatasetError, without the file's name, for what cannot be read: what, where (row from 1, column, member), expected.
    """

    rows: int

    @property
    def columns(self) -> Sequence[Column]:
        """The columns."""
        ...

    @property
    def test(self) -> "RowFile | None":
        """The test set beside it, in the same file."""
        ...

    def batches(self, names: Sequence[str]) -> Iterator[list[Cells]]:
        """Yield a list as long as `names`, every time of as many rows each."""
        ...


@runtime_checkable
class Grouped(RowFile, Protocol):
    """A file of rows of which parts can be read without what lies before."""

    groups: Sequence[int]  # rows of each part

    def batches_after(self, names: Sequence[str], groups: int) -> Iterator[list[Cells]]:
        """Yield cells as `batches` does, of the rows behind so many parts."""
        ...


def cells_from(file: RowFile, names: Sequence[str], begin: int) -> Iterator[list[Cells]]:
    """Yield the cells of some columns from row `begin` on."""
    batches = file.batches(names)
    if isinstance(file, Grouped):
        ends = list(accumulate(file.groups))
        passed = bisect_right(ends, begin)
        batches, begin = file.batches_after(names, passed), begin - (ends[passed - 1] if passed else 0)
    for batch in batches:
        count = len(batch[0].missing)
        if begin < count:
            yield [Cells(one.values[begin:], one.missing[begin:]) for one in batch] if begin else batch
        begin = max(0, begin - count)
