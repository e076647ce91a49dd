"""Memory limits where no control group may be created: look at private memory a few times a second, and kill."""

import asyncio
from pathlib import Path

from localwhisk.processes import kill_session, private_bytes, session_members

INTERVAL = 0.2  # seconds; a scan of /proc costs some milliseconds
MEGABYTE = 1_048_576


class Watch:
    """One container's memory limit."""

    def __init__(self, memory: int, watches: "set[Watch]") -> None:
        self.leader: int | None = None
        self.exhausted = False
        self._limit = memory * MEGABYTE
        self._watches = watches
        watches.add(self)

    def entrances(self) -> list[Path]:
        return []

    def out_of_memory(self) -> bool:
        return self.exhausted

    def look(self) -> None:
        if self.leader is None or self.exhausted:
            return
        if sum(private_bytes(pid) for pid in session_members(self.leader)) > self._limit:
            self.exhausted = True
            kill_session(self.leader)

    def remove(self) -> None:
        self._watches.discard(self)


class Watchdog:
    """Watches every container; the CPU is not limited."""

    name = "watchdog"

    def __init__(self) -> None:
        self._watches: set[Watch] = set()

    def create(self, container: str, memory: int, shares: int, cpus: float | None) -> Watch:
        return Watch(memory, self._watches)

    async def run(self) -> None:
        while True:
            await asyncio.sleep(INTERVAL)
            for watch in list(self._watches):
                watch.look()

    def close(self) -> None:
        self._watches.clear()
