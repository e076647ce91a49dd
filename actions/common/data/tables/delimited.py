"""CSV and its kin as a file of rows: a header, then cells between commas, semicolons or tabs; used by datasets.

A first look over the whole text decides what each column is: what a first block holds, a later one may contradict.
"""

import csv
import io
import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from itertools import islice
from typing import Any

import pyarrow
from pyarrow import csv as arrow_csv

from common.data.archive import cause
from common.data.columns import named
from common.data.rows import Cells, Open, RowFile
from common.data.tables.text_cells import NUMBER, Kinds, values
from common.errors import DatasetError, shown

IMAGES = False
BLOCK_BYTES = 1 << 20  # a row is no longer, and a batch is what it holds
COLUMNS = 4000
MARKS, HEAD_CHARACTERS = ",;\t", 1 << 16
BROKEN = (pyarrow.ArrowException, ValueError, OSError, OverflowError)


def is_own(head: bytes) -> bool:
    """Return whether a file that begins so is text, with a mark between the cells of its first line."""
    text = head.decode("utf-8-sig", errors="replace")  # of which the last character may be cut
    return b"\0" not in head and "\ufffd" not in text[:-4] and separator(text) is not None


def separator(text: str) -> str | None:
    """Return the mark between the cells of a table's first two lines, None where there is none."""
    found = {}
    for mark in MARKS:
        rows, widths = csv.reader(io.StringIO(text[:HEAD_CHARACTERS], newline=""), delimiter=mark), []
        with suppress(csv.Error):  # a cell may be long
            widths += [len(cells) for cells in islice(rows, 2)]
        if widths and widths[0] > 1:
            found[mark] = (len(set(widths)) == 1, widths[0])
    return max(found, key=lambda mark: found[mark], default=None)


def open_file(opened: Open) -> "Delimited":
    """Open a table of text."""
    return Delimited(opened)


class Delimited:
    """A table of text; its columns are known after a look over all of it."""

    test: RowFile | None = None

    def __init__(self, opened: Open) -> None:
        self._open = opened
        with opened() as file:
            start = file.read(BLOCK_BYTES)
        self._mark, self._names = header(start)
        kinds = Kinds(self._names)
        self.rows = 0
        for batch in self._read(self._names):
            kinds.add(batch, self.rows + 1)
            self.rows += len(batch[0])
        if not self.rows:
            raise DatasetError("got a header alone, expected rows below it")
        self.columns = kinds.columns()

    def batches(self, names: Sequence[str]) -> Iterator[list[Cells]]:
        """Yield the cells of some columns; DatasetError where there are not as many rows as at first."""
        held = {column.name: column.dtype for column in self.columns}
        dtypes, rows = [held[name] for name in names], 0
        for batch in self._read(names):
            rows += len(batch[0])
            yield values(batch, dtypes)
        if rows != self.rows:
            raise DatasetError(f"got {rows} rows, expected {self.rows} as at first: the file was changed")

    def _read(self, names: Sequence[str]) -> Iterator[list[Any]]:
        """Yield columns of text, a block at a time."""
        try:
            with self._open() as file:
                yield from self._blocks(file, names)
        except BROKEN as error:
            raise DatasetError(sentence(error)) from None

    def _blocks(self, file: Any, names: Sequence[str]) -> Iterator[list[Any]]:
        places = [f"f{place}" for place in range(len(self._names))]
        wanted = [places[self._names.index(name)] for name in names]
        reader = arrow_csv.open_csv(
            pyarrow.PythonFile(file, "r"),
            arrow_csv.ReadOptions(
                use_threads=False, block_size=BLOCK_BYTES, column_names=places, skip_rows_after_names=1
            ),
            arrow_csv.ParseOptions(delimiter=self._mark, newlines_in_values=True),
            arrow_csv.ConvertOptions(
                column_types=dict.fromkeys(places, pyarrow.string()), strings_can_be_null=True, include_columns=wanted
            ),
        )
        for batch in reader:
            yield [batch.column(name) for name in wanted]


def header(start: bytes) -> tuple[str, list[str]]:
    """Return the mark between cells and the columns' names; DatasetError for a header that names no columns."""
    try:
        text = start.decode("utf-8-sig", errors="replace")
        mark = separator(text) or ","
        names = next(csv.reader(io.StringIO(text, newline=""), delimiter=mark))
    except (csv.Error, StopIteration) as error:
        raise DatasetError(f"got no header ({cause(error)}), expected a line of column names") from None
    names = [name.strip() or f"column {place}" for place, name in enumerate(names, 1)]
    if len(names) > COLUMNS:
        raise DatasetError(f"got {len(names)} columns, expected at most {COLUMNS}: store them as one list in Parquet")
    if headless(names):
        raise DatasetError(f"got {named(names, 'cells')} in the first line, expected the columns' names there")
    if twice := [name for name in names if names.count(name) > 1][:1]:
        raise DatasetError(f"got two columns {shown(twice[0])[1:-1]}, expected a name of its own for each")
    return mark, names


def headless(names: Sequence[str]) -> bool:
    """Return whether the first line holds no names; pandas numbers columns without one from 0."""
    numbers = [name for name in names if re.fullmatch(NUMBER, name)]
    whole = all(name.isdecimal() for name in numbers)
    counted = [str(place) for place in range(len(names))]
    return bool(numbers) and (not whole or (len(numbers) == len(names) and list(names) != counted))


def sentence(error: Exception) -> str:
    """Return what is wrong with a table, of pyarrow's words."""
    if row := re.search(r"Row #(\d+): Expected (\d+) columns, got (\d+)", str(error)):
        return f"row {int(row[1]) - 1} has {row[3]} cells, expected {row[2]} as in the header"
    if place := re.search(r"In CSV column #(\d+): Row #(\d+): .*UTF8", str(error)):
        return f"row {int(place[2]) - 1}, column {int(place[1]) + 1}: got no UTF-8, expected the table in UTF-8"
    if "straddling" in str(error):
        return f"got a row above {BLOCK_BYTES >> 20} MB, or a quote that never ends; expected a line a row"
    return f"got no table ({cause(error)}), expected rows of cells with a header"
