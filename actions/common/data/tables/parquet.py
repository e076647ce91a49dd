"""Parquet as a file of rows, read column by column in batches that fit memory; used by datasets."""

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pyarrow
from pyarrow import parquet

from common.data.archive import cause
from common.data.rows import BATCH_BYTES, Cells, Open, RowFile
from common.data.tables.arrow_columns import cells, columns_of, names_of
from common.errors import DatasetError

IMAGES = False
MAGIC = b"PAR1"
BUFFER_BYTES = 1 << 16  # of each column's pages
PAGES_BYTES = 64 << 20  # of a column in a row group
BROKEN = (pyarrow.ArrowException, OSError, ValueError, KeyError, TypeError, OverflowError)


def is_own(head: bytes) -> bool:
    """Return whether a file begins as Parquet does."""
    return head.startswith(MAGIC)


def open_file(opened: Open) -> "Parquet":
    """Open a Parquet file."""
    return Parquet(opened)


class Parquet:
    """A Parquet file's columns and rows."""

    test: RowFile | None = None

    def __init__(self, opened: Open) -> None:
        file = opened()
        if not file.seekable():
            raise DatasetError("got Parquet inside of another packing, expected the file itself: it packs its columns")
        try:
            self._file = parquet.ParquetFile(pyarrow.PythonFile(file, "r"), buffer_size=BUFFER_BYTES)
            self._schema, self.rows = self._file.schema_arrow, self._file.metadata.num_rows
            self._width = self._row_bytes()
        except BROKEN as error:
            raise DatasetError(f"got damaged Parquet ({cause(error)}), expected a whole file") from None
        names = names_of(self._schema)
        if not self.rows:
            raise DatasetError("got no row, expected at least one")
        self.columns = columns_of(self._schema, names, self._read)

    def batches(self, names: Sequence[str]) -> Iterator[list[Cells]]:
        """Yield the cells of some columns."""
        held, row = {column.name: column for column in self.columns}, 1
        width = sum(math.prod(held[name].shape) * np.dtype(held[name].dtype).itemsize for name in names)
        for batch in self._read(list(names), width):
            yield [cells(array, held[name], row) for name, array in zip(names, batch, strict=True)]
            row += len(batch[0])

    def _row_bytes(self) -> int:
        """Return the bytes of a row; DatasetError for a row group with more of a column than memory holds."""
        metadata: Any = self._file.metadata
        total = 0
        for group in range(metadata.num_row_groups):
            for place in range(metadata.num_columns):
                size = metadata.row_group(group).column(place).total_uncompressed_size
                if size > PAGES_BYTES:
                    got = f"{size >> 20} MB of a column in a row group"
                    most = f"at most {PAGES_BYTES >> 20}: write it with row_group_size="
                    raise DatasetError(f"got {got}, expected {most}")
                total += size
        return int(max(1, total // max(1, self.rows)))

    def _read(self, names: list[str], width: int = 0) -> Iterator[list[Any]]:
        count = max(1, min(1 << 16, BATCH_BYTES // max(width, self._width)))
        try:
            for batch in self._file.iter_batches(count, columns=names, use_threads=False):
                batch.validate(full=True)
                yield [batch.column(name) for name in names]
        except BROKEN as error:
            raise DatasetError(f"got damaged Parquet ({cause(error)}), expected a whole file") from None
