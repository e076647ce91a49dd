"""Commands that make things, several things at once: a line now and then says how far they are, a failure says all.

Used by installation. Standard library only.
"""

import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from pathlib import Path

INTERVAL = 10.0  # seconds between two lines
WIDTH = 50  # characters of a command's own words in them


class FailedError(Exception):
    """What a command said that ended otherwise than with 0, and which one it was."""


class Steps:
    """The commands that make one thing, one after the other."""

    def __init__(self, name: str, stopping: threading.Event) -> None:
        self.name, self._stopping = name, stopping
        self._began = time.monotonic()
        self._process: subprocess.Popen[str] | None = None
        self._last = ""

    def run(self, *command: str | Path, cwd: Path) -> None:
        """Run a command to its end; FailedError when it fails, or is stopped because another one failed."""
        said = []
        with subprocess.Popen(
            command, cwd=cwd, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        ) as self._process:
            if self._stopping.is_set():
                self.stop()
            for line in self._process.stdout or ():
                said.append(line)
                self._last = line.strip()[:WIDTH] or self._last
        if self._process.returncode:
            words = " ".join(map(str, command))
            raise FailedError(f"{words}: ended with {self._process.returncode} and said:\n{''.join(said)}".rstrip())

    def stop(self) -> None:
        """End the command that runs."""
        if self._process:
            self._process.terminate()

    def __str__(self) -> str:
        return f"{self.name} {self.seconds():.0f} s ({self._last or 'starting'})"

    def seconds(self) -> float:
        """Return how long it has taken so far."""
        return time.monotonic() - self._began


Work = tuple[str, Callable[[Steps], None]]


def together(works: Sequence[Work], at_once: int, interval: float = INTERVAL) -> None:
    """Do the works, so many at once, in their order; the first failure ends all, and is raised."""
    stopping, under_way = threading.Event(), dict[str, Steps]()

    def do(name: str, work: Callable[[Steps], None]) -> None:
        under_way[name] = steps = Steps(name, stopping)
        work(steps)
        del under_way[name]
        say(f"{name}: {steps.seconds():.0f} s")

    with ThreadPoolExecutor(at_once) as pool:
        left = {pool.submit(do, *each) for each in works}
        try:
            while left:
                done, left = wait(left, interval, FIRST_EXCEPTION)
                for each in done:
                    each.result()
                if left and not done:
                    say(f"at work: {', '.join(map(str, list(under_way.values())))}")
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            stopping.set()
            for steps in list(under_way.values()):
                steps.stop()
            raise


def say(line: str) -> None:
    """Print a line at once, whole."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()
