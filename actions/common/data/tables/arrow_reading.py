"""What reading by Arrow's library is held to: memory it may take, and a sentence for what it raises; used by readers.

The library believes what a file says of its pages, and takes as much memory before it looks at them.
"""

import io
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow

from common.data.archive import cause
from common.errors import DatasetError, DlError

RESERVED_BYTES = 128 << 20  # that the library's own pools reserve before they are asked for any; the system's does not
ALLOWED_BYTES = 160 << 20  # beyond what the process held when it opened a file
if pyarrow.default_memory_pool().backend_name != "system":
    ALLOWED_BYTES += RESERVED_BYTES
SOFT, HARD = resource.getrlimit(resource.RLIMIT_DATA)
BROKEN = (
    *(pyarrow.ArrowException, OSError, EOFError, NotImplementedError),
    *(ValueError, KeyError, IndexError, TypeError, AttributeError, OverflowError, RecursionError),
)


class Source(io.BufferedReader):
    """A file, the memory that reading it may take, and its own errors, which the library wraps in others."""

    failure: DlError | None = None

    def __init__(self, raw: io.RawIOBase, buffer: int = io.DEFAULT_BUFFER_SIZE) -> None:
        super().__init__(raw, buffer)
        self.allowed = data_bytes() + ALLOWED_BYTES

    def read(self, size: int | None = -1) -> bytes:
        """Read as a file does."""
        try:
            return super().read(size)
        except DlError as error:
            self.failure = error
            raise


@contextmanager
def reading(name: str, smaller: str, source: Source | None = None) -> Iterator[None]:
    """Read from a file of the format `name`; DatasetError for a damaged one, or one of pieces to be made `smaller`."""
    try:
        with bounded(source.allowed if source else data_bytes() + ALLOWED_BYTES):
            yield
    except (MemoryError, *BROKEN) as error:
        if source and source.failure:
            raise source.failure from None
        if isinstance(error, MemoryError):
            raise DatasetError(f"got {name} in pieces that memory does not hold, expected smaller: {smaller}") from None
        raise DatasetError(f"got damaged {name} ({cause(error)}), expected a whole file") from None


@contextmanager
def bounded(size: int) -> Iterator[None]:
    """Let what is allocated inside fail, by MemoryError, where the process would hold more than `size` bytes."""
    limits = [size, *(limit for limit in (SOFT, HARD) if limit != resource.RLIM_INFINITY)]
    resource.setrlimit(resource.RLIMIT_DATA, (min(limits), HARD))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, (SOFT, HARD))


def data_bytes() -> int:
    """Return the bytes that the process has taken from the system, as its limit counts them."""
    return int(Path("/proc/self/statm").read_text().split()[5]) * resource.getpagesize()
