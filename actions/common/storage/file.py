"""Bytes on their way into the store: the parts of an upload, and a file's digest."""

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


def parts(pieces: Iterator[bytes], size: int) -> Iterator[bytes]:
    """Yield the same bytes in parts of `size` or more, but for the last."""
    held, length = [], 0
    for piece in pieces:
        held.append(piece)
        length += len(piece)
        if length >= size:
            yield b"".join(held)
            held, length = [], 0
    if held:
        yield b"".join(held)
