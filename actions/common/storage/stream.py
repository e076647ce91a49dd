"""An object of the store, read from front to back by one request; used by the reducer, which reads many at once.

What the network brings while another is read waits in the system's buffers: no threads, no memory of this process.
"""

from typing import Any

from botocore.exceptions import BotoCoreError

from common.errors import StoreError
from common.storage.objects import Location, Objects, sentence

ATTEMPTS = 3  # of one read: a request that stays open this long may break
SKIP_BYTES = 1 << 20  # what lies between two reads: this much is read over, more is not asked for


class Stream:
    """One object; `read` takes any range, and is quick for those that follow each other."""

    def __init__(self, objects: Objects, at: Location) -> None:
        self._objects, self._at = objects, at
        self._body: Any = None
        self._position = 0

    def read(self, begin: int, end: int) -> bytes:
        """Return bytes begin..end (end not included), fewer at the object's end; a look back keeps the place."""
        if self._body is not None and begin < self._position:
            return self._objects.read(self._at, begin, end)
        for _ in range(ATTEMPTS):
            try:
                return self._forward(begin, end)
            except BotoCoreError as error:
                self._body, broken = None, error
        raise StoreError(sentence(self._at, broken)) from broken

    def _forward(self, begin: int, end: int) -> bytes:
        if self._body is None or begin - self._position > SKIP_BYTES:
            self._body, self._position = self._objects.open(self._at, begin), begin
        self._take(begin - self._position)
        return self._take(end - begin)

    def _take(self, count: int) -> bytes:
        data: bytes = self._body.read(count)
        # short at the object's end, or where the connection broke: only the read after that one tells
        while len(data) < count and (more := self._body.read(count - len(data))):
            data += more
        self._position += len(data)
        return data
