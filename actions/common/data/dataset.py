"""A dataset: one object of the store or several of one format, recognised by what they hold; used by planner, splitter.

Readers are imported when they are needed: most datasets are arrays.
"""

import io
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import PurePosixPath
from types import ModuleType
from typing import Any, BinaryIO, Protocol, cast

from numpy.typing import NDArray

from common.data import formats
from common.data.archive import UNREADABLE, Bounded, cause, open_zip
from common.data.array_files import ArrayFiles, Member, members_of
from common.data.arrays import Array, Pair
from common.data.columns import Asked, Columns
from common.data.remote import BUFFER_BYTES, RemoteFile
from common.data.row_files import RowFiles
from common.data.rows import Open, RowFile
from common.errors import DatasetError, placed
from common.storage.objects import Location, Objects

ZIP_MEMBER, ZIP_NAME = b"PK\x03\x04", 30  # how a zip's first member begins, and where its name does


class Dataset(Protocol):
    """What planner and splitter ask of a dataset, whatever its format."""

    kind: str  # what a sentence calls its parts: arrays or columns
    columns: Columns

    def training(self) -> Pair:
        """Return the headers of the training set."""

    def held_out(self) -> Pair:
        """Return the headers of the one set that a held-out file has."""

    def test(self) -> Pair | None:
        """Return the headers of the dataset's own test set, if it has one."""

    def unused(self) -> list[str]:
        """Return the names of what no training uses."""

    def batches(self, arrays: Sequence[Array], begin: int = 0) -> Iterator[list[NDArray[Any]]]:
        """Yield rows of arrays side by side, in order, from one of them on."""

    def seeks(self) -> bool:
        """Tell whether reading may begin anywhere; otherwise all that lies before is read, too."""


@dataclass(frozen=True)
class Part:
    """One object of a dataset: where it lies, what tells it from another of its name, what it begins with."""

    at: Location
    size: int
    etag: str
    head: bytes  # unpacked
    open: Open  # unpacked, if it is packed
    packed: bool


def part_of(objects: Objects, at: Location) -> Part:
    """Look at one object of a dataset."""
    size, etag = objects.head(at)
    head, opened = objects.read(at, 0, min(size, formats.HEAD_BYTES)), partial(opened_at, objects, at)
    packing = formats.packing(head)
    if packing is None:
        return Part(at, size, etag, head, opened, packed=False)
    from common.data import unpacked

    inside = unpacked.unpacking(opened, packing)
    with inside() as file:
        return Part(at, size, etag, file.read(formats.HEAD_BYTES), inside, packed=True)


def opened_at(objects: Objects, at: Location) -> BinaryIO:
    """Open an object for reading by ranges."""
    return io.BufferedReader(RemoteFile(objects, at), BUFFER_BYTES)


def open_dataset(parts: Sequence[Part], name: str, asked: Asked, like: Columns | None = None, rows: int = 0) -> Dataset:
    """Open a dataset; `name`, the parameter that gave it, begins what is said of it.

    `like`: the columns of another set, or of the plan, which also knows how many rows there are.
    """
    place = f"{name}: {parts[0].at}"
    if arrays := arrays_in(parts, place):
        return ArrayFiles(arrays, place, asked, like)
    return RowFiles(row_files(parts, place, (like or asked).image_size), place, asked, like, rows)


def arrays_in(parts: Sequence[Part], place: str) -> dict[str, list[Member]]:
    """Return the arrays that the parts hold, by name; none where they hold something else."""
    found: dict[str, list[Member]] = {}
    for part in parts:
        if part.head.startswith(formats.NPY):
            stem = PurePosixPath(part.at.key).name.partition(".")[0]
            held = {stem: array_of(part, place)}
        elif is_npz(part.head):
            held = zipped_arrays(part, place)
        else:
            return {}
        for name, member in held.items():
            found.setdefault(name, []).append(member)
    return found


def array_of(part: Part, place: str) -> Member:
    """Return the array of an `.npy`."""
    return Member(place, part.open, None, None) if part.packed else Member(place, part.open, part.size, part.open)


def is_npz(head: bytes) -> bool:
    """Return whether a zip begins with an array, or with nothing."""
    name = head[ZIP_NAME : ZIP_NAME + int.from_bytes(head[ZIP_NAME - 4 : ZIP_NAME - 2], "little")]
    return head.startswith(formats.ZIP) and (name.endswith(b".npy") or not head.startswith(ZIP_MEMBER))


def zipped_arrays(part: Part, place: str) -> dict[str, Member]:
    """Return the arrays of an `.npz`; DatasetError for one that cannot be read."""
    if part.packed:
        raise DatasetError(f"{place}: got an .npz inside of another packing, expected the .npz itself")

    def opened() -> zipfile.ZipFile:
        return open_zip(Bounded(cast(io.BufferedReader, part.open()).detach(), BUFFER_BYTES))

    try:
        return members_of(opened, part.open, place)
    except UNREADABLE as error:
        raise DatasetError(f"{place}: got no readable .npz ({cause(error)}), expected a file of numpy.savez") from None


def row_files(parts: Sequence[Part], place: str, size: tuple[int, int] | None) -> list[RowFile]:
    """Open tables or images, all of one format; DatasetError for what no reader knows."""
    several = [f"{place}: part {number} ({part.at.key})" for number, part in enumerate(parts, 1)]
    places = several if len(parts) > 1 else [place]
    readers: list[ModuleType] = []
    files: list[RowFile] = []
    for where, part in zip(places, parts, strict=True):
        with placed(where):
            readers.append(reader_of(part))
            if readers[-1] is not readers[0]:
                raise DatasetError("got another format than part 1, expected the same")
    for where, part, reader in zip(places, parts, readers, strict=True):
        with placed(where):
            files.append(reader.open_file(part.open, size) if reader.IMAGES else reader.open_file(part.open))
    return files


def reader_of(part: Part) -> ModuleType:
    """Return the module that reads a part; DatasetError for a format that none reads."""
    from common.data.images import folders, webdataset
    from common.data.images.members import holds, is_tar, is_zip
    from common.data.tables import delimited, ipc, json_lines, parquet

    tables: tuple[ModuleType, ...] = (parquet, ipc, json_lines, delimited)
    if is_tar(part.head) and webdataset.is_own(part.open):
        return webdataset
    if is_zip(part.head) and not part.packed and holds(part.open, formats.EXCEL_MEMBER):
        raise DatasetError(formats.excel(part.at.key))
    if folders.is_own(part.head):
        return folders
    for module in tables:
        if module.is_own(part.head):
            return module
    raise DatasetError(formats.of_dataset(part.head, part.at.key) or f"got an unknown format, {formats.EXPECTED}")
