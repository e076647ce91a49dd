"""A zip that anybody may have made, opened and read within bounds; used for datasets and models.

What `zipfile` meets in a broken one is of many classes; `UNREADABLE` are those that say something of the file.
"""

import io
import lzma
import struct
import tokenize
import zipfile
import zlib
from collections.abc import Callable
from typing import BinaryIO

from common.errors import plain

LOCAL_BYTES = 30  # of a member's own header, up to its name
CONTENTS_BYTES = 2 << 20  # of a table of contents: 40,000 members, which take far more in memory
UNREADABLE = (
    *(zipfile.BadZipFile, zlib.error, lzma.LZMAError, struct.error, EOFError, OSError),
    *(ValueError, KeyError, IndexError, OverflowError, RuntimeError),
    *(SyntaxError, tokenize.TokenError, MemoryError),  # of the literal that heads an array
)


class Bounded(io.BufferedReader):
    """A buffered file of which no more than `limit` bytes are read at once."""

    limit: int | None = CONTENTS_BYTES

    def read(self, size: int | None = -1) -> bytes:
        """Read as a file does; BadZipFile beyond the limit."""
        if self.limit is None:
            return super().read(size)
        asked = self.limit + 1 if size is None or size < 0 else min(size, self.limit + 1)
        if len(data := super().read(asked)) > self.limit:
            raise zipfile.BadZipFile(f"a table of contents above {self.limit >> 20} MB")
        return data


def open_zip(file: Bounded) -> zipfile.ZipFile:
    """Open a zip; one of UNREADABLE where it is none."""
    archive = zipfile.ZipFile(file)
    file.limit = None
    return archive


def open_stored(opened: Callable[[], BinaryIO], member: zipfile.ZipInfo) -> BinaryIO:
    """Open the file of a zip where an unpacked member begins, without its checksum: to go on from anywhere."""
    file = opened()
    file.seek(member.header_offset)
    header = file.read(LOCAL_BYTES)
    name, extra = struct.unpack("<2H", header[-4:])
    file.seek(name + extra, io.SEEK_CUR)
    return file


def cause(error: BaseException) -> str:
    """Return what is wrong with a file, as a message may hold it: one line, short."""
    return plain(error) or type(error).__name__
