"""A zip or tar of images, a folder a class; used by datasets. As torchvision's ImageFolder has it.

Common folders around the classes are passed over; where they are `train` and `test` (or `val`), the second is held out.
"""

from collections.abc import Iterator
from os.path import commonpath
from pathlib import PurePosixPath

from common.data.images.album import Album, Picture
from common.data.images.members import is_tar, is_zip, members
from common.data.rows import Open, RowFile
from common.errors import DatasetError, shown

SUFFIXES = {".png", ".jpg", ".jpeg", ".gif", ".bmp", ".webp", ".tif", ".tiff", ".ppm", ".pgm"}
TRAIN, HELD_OUT = "train", ("test", "val", "valid", "validation")
IMAGES = True


def is_own(head: bytes) -> bool:
    """Return whether a file begins as a zip or a tar."""
    return is_zip(head) or is_tar(head)


def open_file(opened: Open, size: tuple[int, int] | None) -> "Folders":
    """Open an archive of images."""
    folders = folders_of(opened)
    around = PurePosixPath(commonpath(["/".join(folder) for folder in folders])).parts
    around = around[:-1] if around in folders else around
    below = {folder[len(around)] for folder in folders}
    if TRAIN not in below or not below <= {TRAIN, *HELD_OUT}:
        return Folders(opened, around, size)
    held = next((name for name in HELD_OUT if name in below), None)
    return Folders(opened, (*around, TRAIN), size, Folders(opened, (*around, held), size) if held else None)


def folders_of(opened: Open) -> set[tuple[str, ...]]:
    """Return the folders that hold images; DatasetError for an image that lies in none."""
    found: set[tuple[str, ...]] = set()
    for member in members(opened):
        if member.name.suffix.lower() not in SUFFIXES:
            continue
        if len(member.name.parts) < 2:
            raise DatasetError(f"{shown(str(member.name))}: got an image in no folder, expected a folder a class")
        found.add(member.name.parts[:-1])
    if not found:
        raise DatasetError("got an archive without an image, expected a folder of images a class")
    return found


class Folders(Album):
    """The images below a folder of an archive; the next folder of each is its class."""

    def __init__(
        self, opened: Open, around: tuple[str, ...], size: tuple[int, int] | None, test: RowFile | None = None
    ) -> None:
        self._opened, self._around, self.test = opened, around, test
        super().__init__(self._images, size)

    def _images(self) -> Iterator[Picture]:
        for member in members(self._opened):
            parts = member.name.parts
            if member.name.suffix.lower() not in SUFFIXES or parts[: len(self._around)] != self._around:
                continue
            if len(parts) < len(self._around) + 2:
                where = "/".join(self._around)
                raise DatasetError(
                    f"{shown(str(member.name))}: got an image beside the classes, expected one in {where}/class/"
                )
            yield Picture(shown(str(member.name)), parts[len(self._around)], member.read)
