"""A dataset of arrays: `.npz` files, or `.npy` files of an array each, row by row; used by planner and splitter."""

import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import IO, Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from common.data.archive import UNREADABLE, cause, open_stored
from common.data.array_names import TEST_END, ArrayNames, check_asked, stem
from common.data.arrays import Array, Pair
from common.data.classes import Classes
from common.data.columns import Asked, Columns, Label
from common.data.npy import misfit, read_header, read_rows, rows_at_once, unfit
from common.data.rows import Open
from common.data.text import encoded
from common.errors import DatasetError, placed

NUMBERS, LABELS, TEXT = "numbers", "labels", "text"  # what is taken of an array: labels may be either
TEXTS = "US"  # kinds of NumPy's text
UTF8_BYTES = 4  # of a character, at most


@dataclass(frozen=True)
class Member:
    """One file of an array: where it lies, as an error says it, and what opens it."""

    place: str
    open: Callable[[], IO[bytes]]
    size: int | None  # bytes, header included; None: only reading tells
    seek: Callable[[], IO[bytes]] | None  # opens it unchecked, to begin anywhere; None: it is read from its start


def members_of(opened: Callable[[], zipfile.ZipFile], raw: Open, place: str) -> dict[str, Member]:
    """Return the arrays of an `.npz`; each is read by a file of its own, as several are read side by side.

    `raw` opens the file that the zip lies in.
    """

    def member(info: zipfile.ZipInfo) -> Member:
        seek = partial(open_stored, raw, info) if info.compress_type == zipfile.ZIP_STORED else None
        return Member(place, lambda: opened().open(info), info.file_size, seek)

    held = [info for info in opened().infolist() if info.filename.endswith(".npy")]
    return {info.filename.removesuffix(".npy"): member(info) for info in held}


class ArrayFiles:
    """Arrays by name, each in one file or in several, one after the other."""

    kind = "arrays"  # what a sentence calls its parts

    def __init__(self, members: Mapping[str, Sequence[Member]], place: str, asked: Asked, like: Columns | None) -> None:
        self.members, self.place = members, place
        self.names = ArrayNames(members)
        check_asked(asked)
        with placed(place):
            self.columns = like or self.names.chosen(asked)
        if like is None:
            self.columns = replace(self.columns, labels=tuple(map(self._with_classes, self.columns.labels)))

    def training(self) -> Pair:
        """Return the training set."""
        pair = self._pair(self.names.own(self.columns))
        weight = self._beside(self.columns.weight, pair.examples, NUMBERS)
        return replace(pair, weight=weight, group=self._beside(self.columns.group, pair.examples, LABELS))

    def _beside(self, name: str | None, examples: int, takes: str) -> Array | None:
        """Return the header of an array of one value an example, where one is asked for."""
        if name is None:
            return None
        array = self._header(name, takes)
        if array.shape not in ((examples,), (examples, 1)):
            self._wrong(f"{name} got shape {array.shape}, expected one value for each of {examples} examples")
        return array

    def held_out(self) -> Pair:
        """Return a held-out file's set."""
        with placed(self.place):
            names = self.names.held_out(self.columns)
        return self._pair(names)

    def test(self) -> Pair | None:
        """Return the dataset's own test set, if it has one; DatasetError for a part of it."""
        with placed(self.place):
            names = self.names.test(self.columns)
        return self._pair(names) if names else None

    def unused(self) -> list[str]:
        """Return the names of arrays that no training uses."""
        return self.names.unused(self.columns)

    def batches(self, arrays: Sequence[Array], begin: int = 0) -> Iterator[list[NDArray[Any]]]:
        """Yield rows of arrays side by side, CHUNK_BYTES at a time; DatasetError when a file is damaged."""
        rows = rows_at_once(arrays)
        return side_by_side([self._rows(array, rows, begin) for array in arrays])

    def seeks(self) -> bool:
        """Tell whether reading may begin anywhere: nothing is packed, nothing in Fortran order."""
        names = [name for name in (*self.names.own(self.columns), *self.columns.beside) if name in self.members]
        return all(member.seek and not is_fortran(member.seek) for name in names for member in self.members[name])

    def _rows(self, array: Array, rows: int, begin: int) -> Iterator[NDArray[Any]]:
        """Yield an array's rows, `rows` at a time: text of labels as class numbers, of inputs as the array has it."""
        classes = Classes(self._names_of(array.name))
        for held in self._stored(array.name, rows, begin):
            if held.dtype.kind not in TEXTS or array.name == self.columns.group:
                yield held
            else:
                is_text = array.dtype[1] in TEXTS
                yield encoded(held, array.dtype) if is_text else classes.numbers(array.name, held)

    def _with_classes(self, label: Label) -> Label:
        """Return a label with the names of its classes, where they are text."""
        (name,) = label.columns
        header = self._header(name, LABELS)
        if header.dtype[1] not in TEXTS:
            return label
        found = Classes()
        for rows in self._stored(name, rows_at_once([header])):
            found.add(name, rows)
        return replace(label, classes=found.sorted())

    def _names_of(self, array: str) -> tuple[str, ...]:
        """Return the names of the classes that an array holds, of the training set or of another; none for numbers."""
        whole = {stem(one.columns[0]): one.classes or () for one in self.columns.labels}
        only = next(iter(whole.values())) if len(whole) == 1 else ()
        return whole.get(stem(array).removesuffix(TEST_END), only)

    def _pair(self, names: Sequence[str]) -> Pair:
        """Return the headers of inputs and, last, labels; DatasetError unless they are equally many."""
        takes = [TEXT if one.text else NUMBERS for one in self.columns.inputs]
        x = tuple(self._header(name, one) for name, one in zip(names, takes, strict=False))
        y = tuple(map(self._labels, self.columns.labels, names[len(x) :]))
        for array in (*x, *y[1:]):
            if array.shape[0] != y[0].shape[0]:
                lengths = f"{array.shape[0]} examples and {y[0].name} {y[0].shape[0]}"
                self._wrong(f"{array.name} got {lengths}, expected as many labels as examples")
        return Pair(x, y)

    def _labels(self, label: Label, name: str) -> Array:
        """Return the header of labels, of the training set or of another, as they are stored."""
        array = self._header(name, LABELS)
        if array.dtype[1] not in TEXTS:
            return array
        if label.classes is None:
            self._wrong(f"{name} got text, expected numbers as the training set's labels are")
        return replace(array, dtype="<i8")

    def _header(self, name: str, takes: str) -> Array:
        """Return an array's header, of all its files together; DatasetError for what cannot be trained on."""
        first, *others = (self._part(name, member, takes) for member in self.members[name])
        for member, other in zip(self.members[name][1:], others, strict=True):
            if (other.shape[1:], other.dtype) != (first.shape[1:], first.dtype):
                got, expected = (f"{part.dtype} of shape {part.shape[1:]}" for part in (other, first))
                self._wrong(f"{name} got {got}, expected {expected} as in the first part", member)
        rows = first.shape[0] + sum(other.shape[0] for other in others)
        array = self._fitting(Array(name, (rows, *first.shape[1:]), first.dtype), takes)
        return replace(array, dtype=as_bytes(array.dtype)) if takes == TEXT else array

    def _part(self, name: str, member: Member, takes: str | None) -> Array:
        """Return an array's header in one of its files, as it is stored there; unchecked if nobody takes it."""
        try:
            with member.open() as file:
                shape, _, dtype = read_header(file)
                held = None if member.size is None else member.size - file.tell()
        except UNREADABLE as error:
            self._wrong(f"{name} got no readable array ({cause(error)}), expected numpy's format", member)
        array = Array(name, shape, dtype.str)
        if takes:
            self._fitting(array, takes)
        if held is not None and (wrong := misfit(array, held)):
            self._wrong(f"{name} got {wrong}", member)
        return array

    def _fitting(self, array: Array, takes: str) -> Array:
        dtype = np.dtype(array.dtype)
        is_text = dtype.kind in TEXTS and dtype.itemsize > 0 and (takes == TEXT or len(array.shape) == 1)
        if takes == TEXT and not is_text:
            self._wrong(f"{array.name} got dtype {dtype}, expected text as the model's input")
        if wrong := unfit(array, np.dtype("i8") if is_text and takes != NUMBERS else dtype):
            self._wrong(f"{array.name} got {wrong}")
        return array

    def _stored(self, name: str, rows: int, begin: int = 0) -> Iterator[NDArray[Any]]:
        """Yield an array's rows as its files hold them, from row `begin` on."""
        for member in self.members[name]:
            array = self._part(name, member, None)
            try:
                if begin < array.shape[0]:
                    yield from read_member(member, array, rows, begin)
            except UNREADABLE as error:
                self._wrong(f"{name} is damaged ({cause(error)}), expected a whole file", member)
            begin = max(0, begin - array.shape[0])

    def _wrong(self, what: str, member: Member | None = None) -> NoReturn:
        raise DatasetError(f"{member.place if member else self.place}: {what}") from None


def read_member(member: Member, array: Array, rows: int, begin: int) -> Iterator[NDArray[Any]]:
    """Yield an array's rows from its file; from its start the checksum that a zip has is compared, too."""
    with member.seek() if member.seek and begin else member.open() as file:
        yield from read_rows(file, array, rows, begin)
        if not begin:
            file.read(1)  # reaches the end, where zipfile compares it


def is_fortran(opened: Callable[[], IO[bytes]]) -> bool:
    """Return whether an array of several axes lies in Fortran order."""
    with opened() as file:
        shape, fortran, _ = read_header(file)
    return fortran and len(shape) > 1


def as_bytes(dtype: str) -> str:
    """Return the type of text's bytes in a shard, wide enough for its UTF-8."""
    given = np.dtype(dtype)
    return f"|S{given.itemsize // np.dtype('U1').itemsize * UTF8_BYTES if given.kind == 'U' else given.itemsize}"


def side_by_side(streams: Sequence[Iterator[NDArray[Any]]]) -> Iterator[list[NDArray[Any]]]:
    """Yield equally many rows of every stream; all have the same number in the end, in pieces of any length."""
    held = [next(stream, None) for stream in streams]
    while rows := [one for one in held if one is not None]:
        count = min(len(one) for one in rows)
        yield [one[:count] for one in rows]
        left = zip(rows, streams, strict=True)
        held = [one[count:] if len(one) > count else next(stream, None) for one, stream in left]
