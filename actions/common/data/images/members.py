"""The files inside of a zip or a tar, from front to back, by their names and within bounds; used by readers of images.

Nothing is written where an archive says: a name is only a name. What programs leave beside the files is passed over.
"""

import tarfile
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import PurePosixPath
from typing import Any

from common.data import formats
from common.data.archive import UNREADABLE, Bounded, cause, open_zip
from common.data.rows import Open
from common.errors import DatasetError, shown

TAR_MAGIC, TAR_PLACE = b"ustar", 257
MEMBER_BYTES = 32 << 20
CONTENTS_BYTES = 8 << 20  # of a zip's table of contents: 100,000 members
JUNK = {"__MACOSX", "Thumbs.db", "desktop.ini"}
BROKEN = (*UNREADABLE, tarfile.TarError, zipfile.LargeZipFile, NotImplementedError)


@dataclass(frozen=True)
class Member:
    """A file in an archive; it is to be read before the next one."""

    name: PurePosixPath
    content: Callable[[], bytes]

    def read(self) -> bytes:
        """Return what the file holds; DatasetError where it is damaged."""
        try:
            return self.content()
        except BROKEN as error:
            raise damaged(error) from None


def is_zip(head: bytes) -> bool:
    """Return whether a file begins as a zip does."""
    return head.startswith(formats.ZIP)


def is_tar(head: bytes) -> bool:
    """Return whether a file begins as a tar does."""
    return head[TAR_PLACE:].startswith(TAR_MAGIC)


def members(opened: Open) -> Iterator[Member]:
    """Yield the files of an archive in its order; DatasetError for what no archive should hold."""
    try:
        with opened() as file:
            start = file.read(TAR_PLACE + len(TAR_MAGIC))
        with opened() as file:
            yield from zipped(file) if is_zip(start) else tarred(file)
    except BROKEN as error:
        raise damaged(error) from None


def holds(opened: Open, name: str) -> bool:
    """Return whether an archive has a file of this name at its top."""
    return any(str(member.name) == name for member in members(opened))


def zipped(file: Any) -> Iterator[Member]:
    """Yield the files of a zip."""
    if not file.seekable():
        raise DatasetError("got a zip inside of another packing, expected the zip itself")
    bounded = Bounded(file)
    bounded.limit = CONTENTS_BYTES
    with open_zip(bounded) as archive:
        for info in archive.infolist():
            if info.is_dir() or junk(info.filename):
                continue
            if info.flag_bits & 1:
                raise DatasetError(f"{shown(info.filename)}: got an encrypted file, expected one without a password")
            if (info.external_attr >> 16) & 0o170000 == 0o120000:
                raise DatasetError(f"{shown(info.filename)}: got a link, expected a file")
            yield Member(checked(info.filename, info.file_size), partial(archive.read, info))


def tarred(file: Any) -> Iterator[Member]:
    """Yield the files of a tar."""
    with tarfile.open(fileobj=file, mode="r|") as archive:
        for info in archive:
            # tarfile keeps every header that it has passed: 54 MB of 100,000 images.
            archive.members.clear()  # type: ignore[attr-defined]
            if info.isdir() or junk(info.name):
                continue
            if not info.isfile():
                raise DatasetError(f"{shown(info.name)}: got a link or a device, expected a file")
            yield Member(checked(info.name, info.size), partial(extracted, archive, info))


def extracted(archive: tarfile.TarFile, info: tarfile.TarInfo) -> bytes:
    """Return a file of a tar."""
    file = archive.extractfile(info)
    body = file.read() if file else b""
    if len(body) < info.size:
        raise tarfile.ReadError("unexpected end of data")
    return body


def damaged(error: Exception) -> DatasetError:
    """Return what to say of an archive that cannot be read."""
    return DatasetError(f"got a damaged archive ({cause(error)}), expected a whole zip or tar")


def checked(name: str, size: int) -> PurePosixPath:
    """Return a member's name; DatasetError for one that leads out of the archive, and for a file that is too large."""
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or "\\" in name or "\0" in name:
        raise DatasetError(f"{shown(name)}: got a path out of the archive, expected one inside")
    if size > MEMBER_BYTES:
        raise DatasetError(f"{shown(name)}: got a file of {size >> 20} MB, expected at most {MEMBER_BYTES >> 20}")
    return path


def junk(name: str) -> bool:
    """Return whether a file is what systems and programs leave beside a user's files."""
    return any(part in JUNK or (part.startswith(".") and part not in (".", "..")) for part in PurePosixPath(name).parts)
