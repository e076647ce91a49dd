"""An array of an .npz: its header, checked, and its rows, read in order within bounds; used by datasets.

Never unpickles: an array of objects is refused by its header.
"""

import io
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from common.data.arrays import Array
from common.errors import shown

CHUNK_BYTES = 8 << 20  # rows in memory at once
CHUNK_ROWS = 1 << 17  # where an example is a number or two: what is counted of each takes more than itself
COPY_BYTES = 1 << 20
HEADER_BYTES = 1 << 16  # numpy's own are 128
EXAMPLES = 24_000_000  # in one array: the splitter holds seven bytes of each, and has 256 MB
EXAMPLE_BYTES = 32 << 20


def unfit(array: Array, dtype: np.dtype[Any]) -> str | None:
    """Return what of an array's header cannot be trained on."""
    shape = array.shape
    if dtype.kind not in "biuf":
        what = "pickled objects" if dtype.hasobject else "no numbers"
        return f"dtype {shown(str(dtype))[1:-1]} ({what}), expected numbers"
    if not shape or shape[0] <= 0:
        return f"shape {shown(shape)}, expected at least one example"
    if min(shape) <= 0:
        return f"shape {shown(shape)}, expected at least one number an example"
    if shape[0] > EXAMPLES:
        return f"{shape[0]} examples, expected at most {EXAMPLES}: more than that is for several runs"
    if array.row_bytes > EXAMPLE_BYTES:
        return f"examples of {array.row_bytes} bytes, expected at most {EXAMPLE_BYTES}"
    return None


def misfit(array: Array, held: int) -> str | None:
    """Return how an array's header contradicts the bytes that follow it."""
    needed = array.shape[0] * array.row_bytes
    return None if held == needed else f"{held} bytes for shape {shown(array.shape)}, expected {needed}"


def read_header(file: Any) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Return shape, Fortran order and dtype from the head of an .npy file."""
    version = np.lib.format.read_magic(file)
    widths = {(1, 0): 2, (2, 0): 4}
    if version not in widths:
        raise ValueError(f"format {version}")
    length = file.read(widths[version])
    if (size := int.from_bytes(length, "little")) > HEADER_BYTES:
        raise ValueError(f"a header of {size} bytes")
    head = io.BytesIO(length + file.read(size))
    if version == (1, 0):
        return np.lib.format.read_array_header_1_0(head)
    return np.lib.format.read_array_header_2_0(head)


def rows_at_once(arrays: Iterable[Array]) -> int:
    """Return how many rows of arrays that are read side by side are in memory at once: CHUNK_BYTES, or one."""
    return max(1, min(CHUNK_ROWS, CHUNK_BYTES // sum(array.row_bytes for array in arrays)))


def read_rows(file: IO[bytes], array: Array, rows: int, begin: int = 0) -> Iterator[NDArray[Any]]:
    """Yield an array's rows from its file, `rows` at a time, from row `begin` on; EOFError where it ends too early."""
    _, fortran, _ = read_header(file)
    if fortran and len(array.shape) > 1:
        return by_columns(file, array, rows, begin)
    skip(file, begin * array.row_bytes)
    return by_rows(file, array, rows, begin)


def skip(file: IO[bytes], length: int) -> None:
    """Pass over bytes of an open file."""
    if file.seekable():
        file.seek(length, io.SEEK_CUR)
        return
    while length > 0 and (body := file.read(min(COPY_BYTES, length))):
        length -= len(body)


def by_rows(file: IO[bytes], array: Array, rows: int, begin: int) -> Iterator[NDArray[Any]]:
    """Yield an array that is open at row `begin`, `rows` at a time."""
    for first in range(begin, array.shape[0], rows):
        count = min(rows, array.shape[0] - first)
        length = count * array.row_bytes
        if len(body := file.read(length)) < length:
            raise EOFError(f"{len(body)} of {length} bytes")
        yield np.frombuffer(body, dtype=array.dtype).reshape(count, *array.shape[1:])


def by_columns(file: IO[bytes], array: Array, rows: int, begin: int) -> Iterator[NDArray[Any]]:
    """Yield an open array that lies in Fortran order, `rows` at a time from row `begin` on, by way of the disk."""
    with tempfile.TemporaryFile() as spool:
        shutil.copyfileobj(file, spool, COPY_BYTES)
        if spool.tell() != array.shape[0] * array.row_bytes:
            raise EOFError(f"{spool.tell()} of {array.shape[0] * array.row_bytes} bytes")
        spool.flush()
        whole = np.memmap(spool, array.dtype, "r", shape=array.shape, order="F")
        for first in range(begin, array.shape[0], rows):
            yield np.ascontiguousarray(whole[first : first + rows])
