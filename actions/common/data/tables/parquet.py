"""Parquet as a file of rows, its columns read side by side, page by page; used by datasets."""

import io
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any, BinaryIO, cast

import pyarrow
from pyarrow import parquet

from common.data.rows import Cells, Open, RowFile
from common.data.tables.arrow_cells import read_cells
from common.data.tables.arrow_columns import columns_of, names_of
from common.data.tables.arrow_reading import Source, reading
from common.data.tables.parquet_footer import ENCRYPTED, MAGIC, SMALLER, check_footer, sizes_of
from common.errors import DatasetError

IMAGES = False
BUFFERS_BYTES = 16 << 20  # read ahead, of all columns
BUFFER_BYTES, BLOCK_BYTES = 1 << 20, 1 << 12  # of one column, at most and at least
reads = partial(reading, "Parquet", SMALLER)


def is_own(head: bytes) -> bool:
    """Return whether a file begins as Parquet does."""
    return head.startswith((MAGIC, ENCRYPTED))


def open_file(opened: Open) -> "Parquet":
    """Open a Parquet file."""
    return Parquet(opened)


class Parquet:
    """A Parquet file's columns and rows."""

    test: RowFile | None = None

    def __init__(self, opened: Open) -> None:
        self._open = opened
        with by_blocks(opened()) as file:
            if not file.seekable():
                got = "Parquet inside of another packing"
                raise DatasetError(f"got {got}, expected the file itself: it packs its columns")
            with reads(file):
                check_footer(file)
                held = parquet_file(file, None, BLOCK_BYTES)
                self._metadata, schema = held.metadata, held.schema_arrow
                self._sizes, self.rows, names = sizes_of(held), held.metadata.num_rows, names_of(schema)
                self.groups = [held.metadata.row_group(n).num_rows for n in range(held.metadata.num_row_groups)]
        if self.rows < 1:
            raise DatasetError("got no row, expected at least one")
        with reads():
            self.columns = columns_of(schema, names, self._read)

    def batches(self, names: Sequence[str]) -> Iterator[list[Cells]]:
        """Yield the cells of some columns."""
        held = {column.name: column for column in self.columns}
        yield from read_cells(self._read(names), [held[name] for name in names], reads)

    def batches_after(self, names: Sequence[str], groups: int) -> Iterator[list[Cells]]:
        """Yield the cells of some columns, of the rows behind so many row groups."""
        held = {column.name: column for column in self.columns}
        yield from read_cells(self._read(names, groups), [held[name] for name in names], reads)

    def _read(self, names: Sequence[str], passed: int = 0) -> Iterator[list[Any]]:
        leaves, row = self._sizes.leaves(names), sum(self.groups[:passed])
        count, share = self._sizes.batch_rows(leaves), BUFFERS_BYTES // len(leaves)
        with by_blocks(self._open()) as file:
            with reads(file):
                held = parquet_file(file, self._metadata, min(BUFFER_BYTES, max(BLOCK_BYTES, share)))
            left = range(passed, len(self.groups))
            batches = held.iter_batches(count, left, columns=[*names], use_threads=False)
            while (batch := following(batches, file)) is not None:
                row += len(batch)
                yield [batch.column(name) for name in names]
        if row != self.rows:
            raise DatasetError(f"got damaged Parquet ({row} of {self.rows} rows), expected a whole file")


def parquet_file(file: BinaryIO, metadata: Any, buffer: int) -> Any:
    """Open a file to read its pages one by one, each column's with `buffer` bytes ahead."""
    source = pyarrow.PythonFile(file, "r")
    return parquet.ParquetFile(source, metadata=metadata, buffer_size=buffer, pre_buffer=False)


def by_blocks(file: BinaryIO) -> Source:
    """Return a file that reads little beyond what is asked for: the next read is of another column, far away."""
    return Source(file.detach() if isinstance(file, io.BufferedReader) else cast(io.RawIOBase, file), BLOCK_BYTES)


def following(batches: Iterator[Any], file: Source) -> Any:
    """Return the next batch of rows, checked; None after the last."""
    with reads(file):
        if (batch := next(batches, None)) is not None:
            batch.validate(full=True)
        return batch
