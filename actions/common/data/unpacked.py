"""A file packed with gzip or zstd, unpacked while it is read from front to back; used by datasets."""

import io
from typing import Any, BinaryIO, cast

import pyarrow

from common.data.archive import cause
from common.data.rows import Open
from common.errors import DatasetError

BUFFER_BYTES = 1 << 20


class Unpacked(io.RawIOBase):
    """What a packed file holds; forward only, DatasetError where it is damaged."""

    def __init__(self, packed: BinaryIO, packing: str) -> None:
        self.packing = packing
        self.stream: Any = pyarrow.CompressedInputStream(pyarrow.PythonFile(packed, "r"), packing)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        try:
            body = self.stream.read(len(buffer))
        except (OSError, ValueError, pyarrow.ArrowException) as error:
            raise DatasetError(f"got damaged {self.packing} ({cause(error)}), expected a whole file") from None
        buffer[: len(body)] = body
        return len(body)


def unpacking(opened: Open, name: str) -> Open:
    """Return what opens the packed file's content."""
    return lambda: cast(BinaryIO, io.BufferedReader(Unpacked(opened(), name), BUFFER_BYTES))
