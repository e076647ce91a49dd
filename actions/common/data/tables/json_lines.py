"""JSON lines as a file of rows: an object a line, its values numbers, text, truth values or lists of numbers.

Used by datasets. A first look over the whole text decides what each column is: what a first line holds, a later one
may contradict.
"""

import json
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any, BinaryIO

from common.data.archive import cause
from common.data.formats import HEAD_BYTES
from common.data.rows import Cells, Open, RowFile
from common.data.tables.json_values import Kind, values
from common.errors import DatasetError, shown

IMAGES = False
LINE_BYTES = 1 << 20
LINES = 1000  # in a batch
COLUMNS = 10_000
MARK = b"\xef\xbb\xbf"  # that some programs begin UTF-8 with


def is_own(head: bytes) -> bool:
    """Return whether a file that begins so holds an object in its first line, or the beginning of a long one."""
    line, end, _ = head.removeprefix(MARK).lstrip().partition(b"\n")
    if not line.startswith(b"{"):
        return False
    return line.rstrip().endswith(b"}") if end else len(head) >= HEAD_BYTES or line.rstrip().endswith(b"}")


def open_file(opened: Open) -> "JsonLines":
    """Open a file of JSON lines."""
    return JsonLines(opened)


class JsonLines:
    """An object a line; its columns are known after a look over all of it."""

    test: RowFile | None = None

    def __init__(self, opened: Open) -> None:
        self._open = opened
        kinds: dict[str, Kind] = {}
        self.rows = 0
        for rows in self._read():
            for row in rows:
                self.rows += 1
                for name, value in row.items():
                    kinds.setdefault(name, Kind(name)).add(value, self.rows)
            if len(kinds) > COLUMNS:
                raise DatasetError(f"row {self.rows}: got more than {COLUMNS} columns, expected the same in each row")
        if not self.rows:
            raise DatasetError("got no row, expected an object a line")
        self.columns = [kind.column() for kind in kinds.values()]

    def batches(self, names: Sequence[str]) -> Iterator[list[Cells]]:
        """Yield the cells of some columns; DatasetError where there are not as many rows as at first."""
        held = {column.name: column for column in self.columns}
        count = 0
        for rows in self._read():
            count += len(rows)
            yield [values(held[name], [row.get(name) for row in rows]) for name in names]
        if count != self.rows:
            raise DatasetError(f"got {count} rows, expected {self.rows} as at first: the file was changed")

    def _read(self) -> Iterator[list[dict[str, Any]]]:
        """Yield rows, a batch at a time."""
        with self._open() as file:
            lines = numbered(file)
            while batch := list(islice(lines, LINES)):
                yield [parsed(line, row) for row, line in batch]


def numbered(file: BinaryIO) -> Iterator[tuple[int, bytes]]:
    """Yield the lines that are not blank, with the numbers of their rows; DatasetError for one too long."""
    row = 0
    while line := file.readline(LINE_BYTES + 1):
        if len(line) > LINE_BYTES:
            raise DatasetError(f"row {row + 1} has more than {LINE_BYTES >> 20} MB, expected an object a line")
        if line.strip():
            row += 1
            yield row, line.removeprefix(MARK) if row == 1 else line


def parsed(line: bytes, row: int) -> dict[str, Any]:
    """Return the object of a line; DatasetError for what is none."""

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        held = dict(pairs)
        if len(held) < len(pairs):
            raise ValueError("a name twice in one object")
        return held

    try:
        found = json.loads(line, object_pairs_hook=once)
    except (ValueError, RecursionError) as error:
        raise DatasetError(f"row {row} is no JSON ({cause(error)}), expected an object a line") from None
    if not isinstance(found, dict):
        raise DatasetError(f"row {row} is {shown(found)}, expected an object a line")
    return found
