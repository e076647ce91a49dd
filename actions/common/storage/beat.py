"""A run's beat: while an action works on a run it says so in the store; used by splitter, reducer and status.

No lease hangs on it: it tells people, and the status action, whether anybody still drives the run.
"""

import contextlib
import threading
import time
from collections.abc import Iterator

from common.errors import StoreError
from common.storage import keys
from common.storage.run import Run

EVERY_SECONDS = 10.0


@contextlib.contextmanager
def beating(run: Run) -> Iterator[None]:
    """Let the run's beat be heard at once, and again every EVERY_SECONDS, until the work is done."""
    done = threading.Event()
    threading.Thread(target=repeat, args=(run, done), daemon=True).start()
    try:
        yield
    finally:
        done.set()  # and nobody waits: a store that is away must not hold up the answer


def repeat(run: Run, done: threading.Event) -> None:
    """Beat until the work is done; what the store misses, the next beat makes good."""
    while not done.is_set():
        with contextlib.suppress(StoreError):
            run.objects.replace(run.at(keys.BEAT), b'{"time": %.3f}' % time.time())
        done.wait(EVERY_SECONDS)


def heard(run: Run) -> float:
    """Return when the last beat was, in epoch seconds; 0 where there was none."""
    found = run.find_json(keys.BEAT)
    return float(found["time"]) if found else 0.0
