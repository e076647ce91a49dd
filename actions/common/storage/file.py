"""A local file on its way into the store: its parts and its digest; used by planner and splitter."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

from common.storage.objects import PART_BYTES


def blocks(path: Path) -> Iterator[bytes]:
    """Yield a file's content in parts of an upload."""
    with path.open("rb") as file:
        while block := file.read(PART_BYTES):
            yield block


def sha256(path: Path) -> str:
    """Return a file's sha256."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
