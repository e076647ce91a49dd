"""Processes that outlive the shell that started them; used by services, local_platform.

Each leads a session of its own. It is known again by pid and start time, so that a reused pid is never taken for it.
"""

import contextlib
import os
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

PAUSE = 0.02
PROC = Path("/proc")


@dataclass(frozen=True)
class Process:
    """A started process; `started` is its start time in clock ticks since boot."""

    pid: int
    started: int

    def alive(self) -> bool:
        """Tell whether this very process still runs (a zombie does not, unless another of its threads does)."""
        with contextlib.suppress(ChildProcessError):
            os.waitpid(self.pid, os.WNOHANG)
        return _start_time(self.pid) == self.started

    def stop(self, patience: float) -> None:
        """End the process and its whole group: SIGTERM, and SIGKILL to what is left after `patience` seconds."""
        if not self.alive():
            return
        _signal_group(self.pid, signal.SIGTERM)
        if not _wait(lambda: not self.alive(), patience):
            _signal_group(self.pid, signal.SIGKILL)
            _wait(lambda: not self.alive(), 5)
        _signal_group(self.pid, signal.SIGKILL)

    def kill(self) -> None:
        """End the process at once."""
        if self.alive():
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)
            _wait(lambda: not self.alive(), 5)


def start(command: Sequence[str], environment: Mapping[str, str], log: Path) -> Process:
    """Start a command detached, its output appended to `log` (0600)."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
    pid = os.posix_spawn(
        command[0],
        list(command),
        dict(environment),
        file_actions=[
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, str(log), flags, 0o600),
            (os.POSIX_SPAWN_DUP2, 1, 2),
        ],
        setsid=True,
    )
    return Process(pid, _start_time(pid) or 0)


def at_home_in(folder: Path) -> list[Process]:
    """Find the processes whose HOME is inside `folder`: containers that outlived what started them."""
    home = f"HOME={folder}/".encode()
    found = []
    for entry in PROC.iterdir():
        if entry.name.isdigit() and any(pair.startswith(home) for pair in _environment(entry)):
            found.append(Process(int(entry.name), _start_time(int(entry.name)) or 0))
    return found


def _signal_group(leader: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(leader, number)


def _wait(condition: Callable[[], bool], seconds: float) -> bool:
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(PAUSE)
    return True


def _environment(process: Path) -> list[bytes]:
    try:
        return (process / "environ").read_bytes().split(b"\0")
    except OSError:
        return []


def _start_time(pid: int) -> int | None:
    try:
        text = (PROC / str(pid) / "stat").read_text()
    except OSError:
        return None
    fields = text[text.rindex(")") + 2 :].split()
    threads = int(fields[17])  # of a zombie whose other threads still end: they hold its files and ports
    return None if fields[0] in "ZX" and threads <= 1 else int(fields[19])
