"""A dataset of arrays: `.npz` files, or `.npy` files of an array each, row by row; used by planner and splitter."""

import dataclasses
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from typing import IO, Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from common.data.archive import UNREADABLE, cause
from common.data.arrays import Array, Pair
from common.data.classes import Classes
from common.data.columns import LABELS, Asked, Columns, named
from common.data.npy import misfit, read_header, read_rows, unfit
from common.errors import DatasetError, shown

PAIRS = (("x_train", "y_train"), ("x", "y"))
TEST = ("x_test", "y_test")
TEXT = "US"  # kinds of NumPy's text


@dataclass(frozen=True)
class Member:
    """One file of an array: where it lies, as an error says it, and what opens it."""

    place: str
    open: Callable[[], IO[bytes]]
    size: int | None  # bytes, header included; None: only reading tells


def members_of(archive: zipfile.ZipFile, place: str) -> dict[str, Member]:
    """Return the arrays of an `.npz`."""

    def member(info: zipfile.ZipInfo) -> Member:
        return Member(place, lambda: archive.open(info), info.file_size)

    held = [info for info in archive.infolist() if info.filename.endswith(".npy")]
    return {info.filename.removesuffix(".npy"): member(info) for info in held}


class ArrayFiles:
    """Arrays by name, each in one file or in several, one after the other."""

    kind = "arrays"  # what a sentence calls its parts

    def __init__(self, members: Mapping[str, Sequence[Member]], place: str, asked: Asked, like: Columns | None) -> None:
        self.members, self.place = members, place
        self.columns = like or self._choose(asked)
        if like is None and self._header(self.columns.label).dtype[1] in TEXT:
            self.columns = dataclasses.replace(self.columns, classes=self._classes())

    def training(self) -> Pair:
        """Return the training set."""
        pair = self._pair(self.columns.inputs[0], self.columns.label)
        weight = self._beside(self.columns.weight, pair.y, number=True)
        return dataclasses.replace(pair, weight=weight, group=self._beside(self.columns.group, pair.y, number=False))

    def _beside(self, name: str | None, labels: Array, number: bool) -> Array | None:
        """Return the header of an array of one value an example, where one is asked for."""
        if name is None:
            return None
        array = self._header(name, number)
        if array.shape not in (labels.shape[:1], (*labels.shape[:1], 1)):
            self._wrong(f"{name} got shape {array.shape}, expected one value for each of {labels.shape[0]} examples")
        return array

    def held_out(self) -> Pair:
        """Return a held-out file's set: the arrays of the training set's names, or x and y, or x_test and y_test."""
        own = (self.columns.inputs[0], self.columns.label)
        for pair in (("x", "y"), TEST, own):
            if self.members.keys() >= set(pair):
                return self._pair(*pair)
        return self._wrong(f"got {named(self.members)}, expected x and y, or x_test and y_test")

    def test(self) -> Pair | None:
        """Return the dataset's own test set, if it has one; DatasetError for one half of it."""
        held = self.members.keys() & set(TEST)
        if len(held) == 1:
            lacking = next(iter(set(TEST) - held))
            self._wrong(f"got {held.pop()} without {lacking}, expected both or neither")
        return self._pair(*TEST) if held else None

    def unused(self) -> list[str]:
        """Return the names of arrays that no training uses."""
        columns = self.columns
        return sorted(self.members.keys() - {*columns.inputs, columns.label, columns.weight, columns.group, *TEST})

    def chunks(self, array: Array) -> Iterator[NDArray[Any]]:
        """Yield an array's rows in order, CHUNK_BYTES at a time; DatasetError when a file is damaged."""
        classes = Classes(self.columns.classes or ())
        for rows in self._stored(array.name):
            named_ = rows.dtype.kind in TEXT and array.name != self.columns.group
            yield classes.numbers(array.name, rows) if named_ else rows

    def _choose(self, asked: Asked) -> Columns:
        if asked.missing or asked.image_size:
            given = "missing" if asked.missing else "image_size"
            raise DatasetError(f"{given}: got a value, expected none, as the dataset holds arrays")
        if len(asked.inputs or ()) > 1:
            raise DatasetError(f"inputs: got {len(asked.inputs or ())} arrays, expected one")
        for name in (*(asked.inputs or ()), asked.label, asked.weight, asked.group):
            if name is not None and name not in self.members:
                self._wrong(f"got {named(self.members)}, expected {shown(name)[1:-1]} as asked for")
        others = self.members.keys() - {asked.weight, asked.group, *TEST}
        x, y = self._named(asked.inputs[0] if asked.inputs else None, asked.label, others)
        return Columns((x,), y, asked.weight, asked.group)

    def _named(self, x: str | None, y: str | None, others: Set[str]) -> tuple[str, str]:
        """Find inputs and labels: as asked for, or by the names that they have as a rule."""
        if x or y:
            return self._completed(x, y, others)
        for pair in PAIRS:
            if self.members.keys() >= {*pair}:
                return pair
        if len(others) == 2 and len(found := [name for name in LABELS if name in others]) == 1:
            return self._completed(None, found[0], others)
        return self._wrong(
            f"got {named(self.members)}, expected x_train and y_train, or x and y, or their names by inputs and label"
        )

    def _completed(self, x: str | None, y: str | None, others: Set[str]) -> tuple[str, str]:
        """Find the array beside the one that was asked for: its partner by name, or the only other one."""
        if x and y:
            return x, y
        given = x or y
        partners = [a if b == given else b for a, b in PAIRS if given in (a, b)]
        left = [name for name in partners if name in self.members] or sorted(others - {given})
        if len(left) != 1:
            lacking = "label" if x else "inputs"
            self._wrong(f"got {named(self.members)}, expected one of them as {lacking}")
        return x or left[0], y or left[0]

    def _classes(self) -> tuple[str, ...]:
        found = Classes()
        for rows in self._stored(self.columns.label):
            found.add(self.columns.label, rows)
        return found.sorted()

    def _pair(self, x: str, y: str) -> Pair:
        """Return the headers of inputs and labels; DatasetError unless they are equally many."""
        pair = Pair(self._header(x, number=True), self._header(y))
        if pair.x.shape[0] != pair.y.shape[0]:
            lengths = f"{pair.x.shape[0]} examples and {y} {pair.y.shape[0]}"
            self._wrong(f"{x} got {lengths}, expected as many labels as examples")
        if pair.y.dtype[1] in TEXT:
            if self.columns.classes is None:
                self._wrong(f"{y} got text, expected numbers as the training set's labels are")
            return Pair(pair.x, dataclasses.replace(pair.y, dtype="<i8"))
        return pair

    def _header(self, name: str, number: bool = False) -> Array:
        """Return an array's header, of all its files together; DatasetError for what cannot be trained on."""
        first, *others = (self._part(name, member, number) for member in self.members[name])
        for member, other in zip(self.members[name][1:], others, strict=True):
            if (other.shape[1:], other.dtype) != (first.shape[1:], first.dtype):
                got, expected = (f"{part.dtype} of shape {part.shape[1:]}" for part in (other, first))
                self._wrong(f"{name} got {got}, expected {expected} as in the first part", member)
        rows = first.shape[0] + sum(other.shape[0] for other in others)
        return self._fitting(Array(name, (rows, *first.shape[1:]), first.dtype), number)

    def _part(self, name: str, member: Member, number: bool) -> Array:
        """Return an array's header in one of its files."""
        try:
            with member.open() as file:
                shape, _, dtype = read_header(file)
                held = None if member.size is None else member.size - file.tell()
        except UNREADABLE as error:
            self._wrong(f"{name} got no readable array ({cause(error)}), expected numpy's format", member)
        array = self._fitting(Array(name, shape, dtype.str), number)
        if held is not None and (wrong := misfit(array, held)):
            self._wrong(f"{name} got {wrong}", member)
        return array

    def _fitting(self, array: Array, number: bool) -> Array:
        dtype = np.dtype(array.dtype)
        is_text = dtype.kind in TEXT and len(array.shape) == 1 and not number and dtype.itemsize > 0
        if wrong := unfit(array, np.dtype("i8") if is_text else dtype):
            self._wrong(f"{array.name} got {wrong}")
        return array

    def _stored(self, name: str) -> Iterator[NDArray[Any]]:
        """Yield an array's rows as its files hold them."""
        for member in self.members[name]:
            array = self._part(name, member, number=False)
            try:
                with member.open() as file:
                    yield from read_rows(file, array)
                    file.read(1)  # reaches the end, where zipfile compares the checksum
            except UNREADABLE as error:
                self._wrong(f"{name} is damaged ({cause(error)}), expected a whole file", member)

    def _wrong(self, what: str, member: Member | None = None) -> NoReturn:
        raise DatasetError(f"{member.place if member else self.place}: {what}") from None
