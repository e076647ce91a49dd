"""What /proc says about a container's processes: who belongs to it, when it started, what memory is its own."""

import contextlib
import os
import signal
from pathlib import Path

PROC = Path("/proc")


def started(pid: int) -> int | None:
    """Start time of a process in clock ticks since boot; with the id it names a process for ever."""
    fields = _stat(pid)
    return int(fields[19]) if fields else None


def runs(child: int) -> bool:
    """Whether a child of this process has not ended yet; the event loop hears of an end a little later."""
    try:
        return os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None
    except ChildProcessError:
        return False


def session_members(leader: int) -> list[int]:
    """Processes of the session that the container's first process leads."""
    return [pid for pid in _pids() if _session(pid) == leader]


def private_bytes(pid: int) -> int:
    """Anonymous memory of a process: what it alone costs."""
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        for line in (PROC / str(pid) / "status").read_text().splitlines():
            if line.startswith("RssAnon:"):
                return int(line.split()[1]) * 1024
    return 0


def at_home_in(folder: Path) -> list[int]:
    """Processes whose HOME lies in this folder, as the environment that they were started with says."""
    beginning = f"HOME={folder}/".encode()
    return [pid for pid in _pids() if any(entry.startswith(beginning) for entry in _environment(pid))]


def kill_session(leader: int) -> None:
    """Kill the process group and whatever left it without leaving the session."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(leader, signal.SIGKILL)
    for pid in session_members(leader):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def _pids() -> list[int]:
    return [int(folder.name) for folder in PROC.iterdir() if folder.name.isdigit()]


def _session(pid: int) -> int | None:
    try:
        return os.getsid(pid)  # a call where /proc would be a file to read, and there are hundreds
    except ProcessLookupError:
        return None


def _environment(pid: int) -> list[bytes]:
    try:
        return (PROC / str(pid) / "environ").read_bytes().split(b"\0")
    except OSError:  # it has ended, or is another user's
        return []


def _stat(pid: int) -> list[str] | None:
    """Fields of /proc/<pid>/stat after the program's name: state, parent, group, session, ..."""
    try:
        return (PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
