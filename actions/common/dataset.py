"""A dataset: an .npz in the object store, read by ranges, row by row; used by planner and splitter.

Never unpickles: an array of objects is refused by its header.
"""

import io
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from common.errors import DatasetError
from common.store import Location, Objects

BUFFER_BYTES = 4 << 20  # one range read: large enough that the store's latency hides
CHUNK_BYTES = 8 << 20  # rows in memory at once
PAIRS = (("x_train", "y_train"), ("x", "y"))
UNREADABLE = (zipfile.BadZipFile, zlib.error, EOFError, ValueError, NotImplementedError)


class RemoteFile(io.RawIOBase):
    """An object of the store as a seekable file."""

    def __init__(self, objects: Objects, at: Location) -> None:
        self.objects, self.at = objects, at
        self.size, self.etag = objects.head(at)
        self.position = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self.position, io.SEEK_END: self.size}[whence]
        self.position = max(0, base + offset)
        return self.position

    def readinto(self, buffer: Any) -> int:
        end = min(self.position + len(buffer), self.size)
        body = self.objects.read(self.at, self.position, end)
        buffer[: len(body)] = body
        self.position += len(body)
        return len(body)


@dataclass(frozen=True)
class Array:
    """An array's header: its name in the .npz, shape and dtype."""

    name: str
    shape: tuple[int, ...]
    dtype: str

    @property
    def row_bytes(self) -> int:
        """Bytes of one example."""
        return int(np.prod(self.shape[1:], dtype=np.int64)) * np.dtype(self.dtype).itemsize


@dataclass(frozen=True)
class Pair:
    """Inputs and labels of one set, equally long."""

    x: Array
    y: Array

    def as_json(self) -> dict[str, Any]:
        """Return the pair as plan.json holds it."""
        return asdict(self)


class Dataset:
    """An .npz file in the store."""

    def __init__(self, objects: Objects, at: Location) -> None:
        self.at = at
        self.file = RemoteFile(objects, at)
        self.size, self.etag = self.file.size, self.file.etag
        try:
            self.zip = zipfile.ZipFile(io.BufferedReader(self.file, BUFFER_BYTES))
        except UNREADABLE as error:
            raise DatasetError(f"{at}: got no readable .npz ({error}), expected a file of numpy.savez") from None
        self.members = {name.removesuffix(".npy") for name in self.zip.namelist() if name.endswith(".npy")}

    def training(self) -> Pair:
        """Return the training set: x_train and y_train, or x and y."""
        return self._first(PAIRS, "x_train and y_train, or x and y")

    def held_out(self) -> Pair:
        """Return a validation file's set: x and y, or x_test and y_test."""
        return self._first((("x", "y"), ("x_test", "y_test")), "x and y, or x_test and y_test")

    def test(self) -> Pair | None:
        """Return the file's own test set, if it has one."""
        return self.pair("x_test", "y_test") if {"x_test", "y_test"} <= self.members else None

    def _first(self, pairs: tuple[tuple[str, str], ...], expected: str) -> Pair:
        for x, y in pairs:
            if {x, y} <= self.members:
                return self.pair(x, y)
        held = ", ".join(sorted(self.members)) or "none"
        raise DatasetError(f"{self.at}: got the arrays {held}, expected {expected}")

    def pair(self, x: str, y: str) -> Pair:
        """Return the headers of inputs and labels; DatasetError unless they are equally many."""
        pair = Pair(self.header(x), self.header(y))
        if pair.x.shape[0] != pair.y.shape[0]:
            lengths = f"{pair.x.shape[0]} examples and {y} {pair.y.shape[0]}"
            raise DatasetError(f"{self.at}: {x} got {lengths}, expected as many labels as examples")
        return pair

    def header(self, name: str) -> Array:
        """Return an array's header; DatasetError for what cannot be trained on."""
        try:
            with self.zip.open(f"{name}.npy") as file:
                shape, fortran, dtype = read_header(file)
        except UNREADABLE as error:
            raise DatasetError(f"{self.at}: {name} got no readable array ({error}), expected numpy's format") from None
        self._check(name, shape, fortran, dtype)
        return Array(name, shape, dtype.str)

    def _check(self, name: str, shape: tuple[int, ...], fortran: bool, dtype: np.dtype[Any]) -> None:
        wrong = None
        if dtype.kind not in "biuf":
            wrong = f"dtype {dtype} ({'pickled objects' if dtype.hasobject else 'no numbers'}), expected numbers"
        elif not shape or shape[0] == 0:
            wrong = f"shape {shape}, expected at least one example"
        elif fortran and len(shape) > 1:
            wrong = "Fortran order, expected C order (numpy.ascontiguousarray)"
        if wrong:
            raise DatasetError(f"{self.at}: {name} got {wrong}")

    def chunks(self, array: Array) -> Iterator[NDArray[Any]]:
        """Yield an array's rows in order, CHUNK_BYTES at a time; DatasetError when the file is damaged."""
        rows = max(1, CHUNK_BYTES // max(1, array.row_bytes))
        try:
            with self.zip.open(f"{array.name}.npy") as file:
                read_header(file)
                for first in range(0, array.shape[0], rows):
                    yield read_rows(file, array, min(rows, array.shape[0] - first))
                file.read(1)  # reaches the end, where zipfile compares the checksum
        except UNREADABLE as error:
            raise DatasetError(f"{self.at}: {array.name} is damaged ({error}), expected a whole .npz") from None


def read_header(file: Any) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Return shape, Fortran order and dtype from the head of an .npy file."""
    version = np.lib.format.read_magic(file)
    readers = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
    if version not in readers:
        raise ValueError(f"format {version}")
    return readers[version](file)


def read_rows(file: Any, array: Array, rows: int) -> NDArray[Any]:
    """Return the next rows of an open array."""
    length = rows * array.row_bytes
    body = file.read(length)
    if len(body) < length:
        raise EOFError(f"{len(body)} of {length} bytes")
    return np.frombuffer(body, dtype=array.dtype).reshape(rows, *array.shape[1:])
