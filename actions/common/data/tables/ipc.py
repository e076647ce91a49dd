"""Arrow's own files and streams (Feather is one) as files of rows, record batch by record batch; used by datasets."""

import io
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any, BinaryIO, cast

import pyarrow

from common.data.rows import Cells, Open, RowFile
from common.data.tables.arrow_cells import read_cells
from common.data.tables.arrow_columns import columns_of, names_of
from common.data.tables.arrow_reading import Source, reading
from common.errors import DatasetError

IMAGES = False
FILE, STREAM = b"ARROW1", b"\xff\xff\xff\xff"
BATCH_FILE_BYTES = 48 << 20  # of a record batch as the file holds it; it is read as a whole
SMALLER = "write it with chunksize= (pyarrow: max_chunksize=)"
reads = partial(reading, "Arrow", SMALLER)


def is_own(head: bytes) -> bool:
    """Return whether a file begins as Arrow's do."""
    return head.startswith((FILE, STREAM))


def open_file(opened: Open) -> "Ipc":
    """Open an Arrow file or stream."""
    return Ipc(opened)


class Rationed(Source):
    """A file of which no more is read than a record batch may have, until the next one has its ration."""

    left = BATCH_FILE_BYTES

    def read(self, size: int | None = -1) -> bytes:
        """Read as a file does; DatasetError beyond the ration."""
        if size is None or not 0 <= size <= self.left:
            most = f"record batches of at most {BATCH_FILE_BYTES >> 20} MB"
            self.failure = DatasetError(f"got a larger one, expected {most}: {SMALLER}")
            raise self.failure
        body = super().read(size)
        self.left -= len(body)
        return body


class Ipc:
    """The columns and rows of an Arrow file or stream."""

    test: RowFile | None = None

    def __init__(self, opened: Open) -> None:
        self._open = opened
        with opened() as file:
            self._is_file = file.read(len(FILE)) == FILE
            if self._is_file and not file.seekable():
                raise DatasetError("got an Arrow file inside of another packing, expected the file itself")
        with self._rationed() as file, reads(file):
            self._schema = self._reader(file, None).schema
            names = names_of(self._schema)
        self.rows = sum(len(batch[0]) for batch in self._read(names[:1]))
        if not self.rows:
            raise DatasetError("got no row, expected at least one")
        with reads():
            self.columns = columns_of(self._schema, names, self._read)

    def batches(self, names: Sequence[str]) -> Iterator[list[Cells]]:
        """Yield the cells of some columns."""
        held = {column.name: column for column in self.columns}
        yield from read_cells(self._read(names), [held[name] for name in names], reads)

    def _rationed(self) -> Rationed:
        return Rationed(cast(io.RawIOBase, self._open()))

    def _reader(self, file: BinaryIO, fields: list[int] | None) -> Any:
        options = pyarrow.ipc.IpcReadOptions(use_threads=False, included_fields=fields)
        opener = pyarrow.ipc.open_file if self._is_file else pyarrow.ipc.open_stream
        return opener(pyarrow.PythonFile(file, "r"), options=options)

    def _read(self, names: Sequence[str]) -> Iterator[list[Any]]:
        fields = sorted(self._schema.get_field_index(name) for name in names)
        with self._rationed() as file:
            with reads(file):
                reader = self._reader(file, fields)
                batches = self._record_batches(reader)
            yield from iter(partial(following, batches, names, file), None)  # which keeps none while it reads the next

    def _record_batches(self, reader: Any) -> Iterator[Any]:
        if self._is_file:
            yield from (reader.get_batch(number) for number in range(reader.num_record_batches))
        else:
            yield from reader


def following(batches: Iterator[Any], names: Sequence[str], file: Rationed) -> list[Any] | None:
    """Return columns of the next record batch, checked; None after the last."""
    file.left = BATCH_FILE_BYTES
    with reads(file):
        if (batch := next(batches, None)) is not None:
            batch.validate(full=True)
        return batch and [batch.column(name) for name in names]
