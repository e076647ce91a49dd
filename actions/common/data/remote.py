"""An object of the store as a seekable file, read by ranges; used by datasets."""

import io
from typing import Any

from common.storage.objects import Location, Objects

BUFFER_BYTES = 4 << 20  # one range read: large enough that the store's latency hides


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
