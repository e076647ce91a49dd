"""Private memory of this process, which is what a container's memory limit counts; used by the trainer.

File pages are left out: TensorFlow's 300 MB of libraries and mapped shards are page cache, which the kernel gives back.
"""

import ctypes
import gc
import threading
from pathlib import Path
from types import TracebackType

INTERVAL_SECONDS = 0.05  # one read costs about 30 microseconds
STATUS = Path("/proc/self/status")


def private_bytes() -> int:
    """Anonymous resident memory of this process, now."""
    line = next(line for line in STATUS.read_text().splitlines() if line.startswith("RssAnon:"))
    return int(line.split()[1]) * 1024


def give_back() -> None:
    """Return what nobody needs to the kernel: garbage, and freed memory that the C library keeps."""
    gc.collect()
    trim()


def trim() -> None:
    """Return freed memory that the C library keeps to the kernel (malloc_trim(3)), which takes under a millisecond."""
    ctypes.CDLL(None).malloc_trim(0)


class PeakMemory:
    """Samples while its block runs; `bytes` is the largest value seen so far."""

    def __init__(self) -> None:
        self.bytes = 0
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._sample, daemon=True)

    def __enter__(self) -> "PeakMemory":
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._thread.join()

    def _sample(self) -> None:
        while True:
            self.bytes = max(self.bytes, private_bytes())
            if self._ended.wait(INTERVAL_SECONDS):
                return
