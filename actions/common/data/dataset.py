"""A dataset: an .npz in the object store, read by ranges, row by row; used by planner and splitter."""

import io
from collections.abc import Collection, Iterator
from typing import Any

from numpy.typing import NDArray

from common.data import formats
from common.data.archive import UNREADABLE, Bounded, cause, open_zip
from common.data.arrays import Array, Pair
from common.data.npy import misfit, read_header, read_rows, unfit
from common.errors import DatasetError, shown
from common.storage.objects import Location, Objects

BUFFER_BYTES = 4 << 20  # one range read: large enough that the store's latency hides
PAIRS = (("x_train", "y_train"), ("x", "y"))
TEST = ("x_test", "y_test")


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


class Dataset:
    """An .npz file in the store; `name`, the parameter that gave it, begins what is said of it."""

    def __init__(self, objects: Objects, at: Location, name: str = "dataset") -> None:
        self.at, self.name = at, name
        self.file = RemoteFile(objects, at)
        self.size, self.etag = self.file.size, self.file.etag
        try:
            self.zip = open_zip(Bounded(self.file, BUFFER_BYTES))
        except UNREADABLE as error:
            advice = formats.of_dataset(objects.read(at, 0, formats.HEAD_BYTES), at.key)
            raise self.wrong(
                advice or f"got no readable .npz ({cause(error)}), expected a file of numpy.savez"
            ) from None
        self.members = {name.removesuffix(".npy") for name in self.zip.namelist() if name.endswith(".npy")}

    def wrong(self, what: str) -> DatasetError:
        """Return an error that names the dataset."""
        return DatasetError(f"{self.name}: {self.at}: {what}")

    def training(self) -> Pair:
        """Return the training set: x_train and y_train, or x and y."""
        return self.pair(*self._first(PAIRS, "x_train and y_train, or x and y"))

    def held_out(self) -> Pair:
        """Return a validation file's set: x and y, or x_test and y_test."""
        return self.pair(*self._first((("x", "y"), TEST), "x and y, or x_test and y_test"))

    def test(self) -> Pair | None:
        """Return the file's own test set, if it has one; DatasetError for one half of it."""
        held = self.members & set(TEST)
        if len(held) == 1:
            lacking = next(iter(set(TEST) - held))
            raise self.wrong(f"got {held.pop()} without {lacking}, expected both or neither")
        return self.pair(*TEST) if held else None

    def unused(self) -> list[str]:
        """Return the names of arrays that no training uses."""
        used = {*self._first(PAIRS, ""), *TEST}
        return sorted(self.members - used)

    def _first(self, pairs: tuple[tuple[str, str], ...], expected: str) -> tuple[str, str]:
        for pair in pairs:
            if self.members.issuperset(pair):
                return pair
        advice = formats.of_members(self.zip.namelist(), self.at.key)
        raise self.wrong(f"got {named(self.members)}, expected {expected}{advice}")

    def pair(self, x: str, y: str) -> Pair:
        """Return the headers of inputs and labels; DatasetError unless they are equally many."""
        pair = Pair(self.header(x), self.header(y))
        if pair.x.shape[0] != pair.y.shape[0]:
            lengths = f"{pair.x.shape[0]} examples and {y} {pair.y.shape[0]}"
            raise self.wrong(f"{x} got {lengths}, expected as many labels as examples")
        return pair

    def header(self, name: str) -> Array:
        """Return an array's header; DatasetError for what cannot be trained on."""
        try:
            with self.zip.open(f"{name}.npy") as file:
                shape, _, dtype = read_header(file)
                held = self.zip.getinfo(f"{name}.npy").file_size - file.tell()
        except UNREADABLE as error:
            raise self.wrong(f"{name} got no readable array ({cause(error)}), expected numpy's format") from None
        array = Array(name, shape, dtype.str)
        if wrong := unfit(array, dtype) or misfit(array, held):
            raise self.wrong(f"{name} got {wrong}")
        return array

    def chunks(self, array: Array) -> Iterator[NDArray[Any]]:
        """Yield an array's rows in order, CHUNK_BYTES at a time; DatasetError when the file is damaged."""
        try:
            with self.zip.open(f"{array.name}.npy") as file:
                yield from read_rows(file, array)
                file.read(1)  # reaches the end, where zipfile compares the checksum
        except UNREADABLE as error:
            raise self.wrong(f"{array.name} is damaged ({cause(error)}), expected a whole .npz") from None


def named(members: Collection[str]) -> str:
    """Return the names of arrays as a message may hold them."""
    names = [shown(name).strip("'") for name in sorted(members)[:8]]
    more = f" and {len(members) - 8} more" if len(members) > 8 else ""
    return f"the arrays {', '.join(names) or 'none'}{more}"
