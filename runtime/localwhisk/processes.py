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


def session_members(leader: int) -> list[int]:
    """Processes of the session that the container's first process leads."""
    members = []
    for folder in PROC.iterdir():
        if folder.name.isdigit():
            fields = _stat(int(folder.name))
            if fields and int(fields[3]) == leader:
                members.append(int(folder.name))
    return members


def private_bytes(pid: int) -> int:
    """Anonymous memory of a process: what it alone costs."""
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        for line in (PROC / str(pid) / "status").read_text().splitlines():
            if line.startswith("RssAnon:"):
                return int(line.split()[1]) * 1024
    return 0


def kill_session(leader: int) -> None:
    """Kill the process group and whatever left it without leaving the session."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(leader, signal.SIGKILL)
    for pid in session_members(leader):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def _stat(pid: int) -> list[str] | None:
    """Fields of /proc/<pid>/stat after the program's name: state, parent, group, session, ..."""
    try:
        return (PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
