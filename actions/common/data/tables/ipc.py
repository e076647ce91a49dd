"""Arrow's own files and streams (Feather is one) as files of rows, record batch by record batch; used by datasets."""

import io
from collections.abc import Iterator, Sequence
from typing import Any

import pyarrow

from common.data.archive import cause
from common.data.rows import Cells, Open, RowFile
from common.data.tables.arrow_columns import cells, columns_of, names_of
from common.errors import DatasetError

IMAGES = False
FILE, STREAM = b"ARROW1", b"\xff\xff\xff\xff"
BATCH_FILE_BYTES = 48 << 20  # of a record batch as the file holds it; it is read as a whole
BROKEN = (pyarrow.ArrowException, OSError, ValueError, KeyError, TypeError, OverflowError)


def is_own(head: bytes) -> bool:
    """Return whether a file begins as Arrow's do."""
    return head.startswith((FILE, STREAM))


def open_file(opened: Open) -> "Ipc":
    """Open an Arrow file or stream."""
    return Ipc(opened)


class Ipc:
    """The columns and rows of an Arrow file or stream."""

    test: RowFile | None = None

    def __init__(self, opened: Open) -> None:
        self._open = opened
        with opened() as file:
            self._is_file = file.read(len(FILE)) == FILE
            if self._is_file and not file.seekable():
                raise DatasetError("got an Arrow file inside of another packing, expected the file itself")
        with opened() as file:
            self._schema = self._checked_schema(file)
        names = names_of(self._schema)
        self.rows = sum(len(batch[0]) for batch in self._read(names[:1]))
        if not self.rows:
            raise DatasetError("got no row, expected at least one")
        self.columns = columns_of(self._schema, names, self._read)

    def batches(self, names: Sequence[str]) -> Iterator[list[Cells]]:
        """Yield the cells of some columns."""
        held, row = {column.name: column for column in self.columns}, 1
        for batch in self._read(list(names)):
            yield [cells(array, held[name], row) for name, array in zip(names, batch, strict=True)]
            row += len(batch[0])

    def _checked_schema(self, file: Any) -> Any:
        """Return the schema; DatasetError for a file with record batches that memory does not hold."""
        try:
            reader = self._reader(file, None)
            if self._is_file:
                size = file.seek(0, io.SEEK_END) // max(1, reader.num_record_batches)
                if size > BATCH_FILE_BYTES:
                    got = f"record batches of {size >> 20} MB"
                    most = f"at most {BATCH_FILE_BYTES >> 20}: write it with chunksize="
                    raise DatasetError(f"got {got}, expected {most}")
            return reader.schema
        except BROKEN as error:
            raise damaged(error) from None

    def _reader(self, file: Any, fields: list[int] | None) -> Any:
        if self._is_file:
            file.seek(0)
        options = pyarrow.ipc.IpcReadOptions(use_threads=False, included_fields=fields)
        opener = pyarrow.ipc.open_file if self._is_file else pyarrow.ipc.open_stream
        return opener(pyarrow.PythonFile(file, "r"), options=options)

    def _read(self, names: list[str]) -> Iterator[list[Any]]:
        fields = sorted(self._schema.get_field_index(name) for name in names)
        try:
            with self._open() as file:
                for batch in self._record_batches(self._reader(file, fields)):
                    batch.validate(full=True)
                    yield [batch.column(name) for name in names]
        except BROKEN as error:
            raise damaged(error) from None

    def _record_batches(self, reader: Any) -> Iterator[Any]:
        if self._is_file:
            yield from (reader.get_batch(number) for number in range(reader.num_record_batches))
        else:
            yield from reader


def damaged(error: Exception) -> DatasetError:
    """Return what to say of a file that pyarrow does not read."""
    return DatasetError(f"got a damaged Arrow file ({cause(error)}), expected a whole one")
