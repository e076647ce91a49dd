"""Logs of an activation: what its container wrote up to the sentinels, in OpenWhisk's format and limits."""

import asyncio
import os
import time
from datetime import UTC, datetime
from pathlib import Path

SENTINEL = b"XXX_THE_END_OF_A_WHISK_ACTIVATION_XXX"
SENTINEL_WAIT = 2.0  # seconds, whisk.log-limit's waitForLogs
POLLS = (0.001, 0.002, 0.005, 0.01, 0.02)  # seconds; the sentinels come within a millisecond of the answer
CHUNK = 1_048_576  # bytes searched for the sentinel at a time
KEEP = 1_048_576  # bytes of read output a file may keep before it is cut
ABNORMAL = "The action did not initialize or run as expected. Log data might be missing."
INCOMPLETE = "There was an issue while collecting your logs. Data might be missing."


def stamp() -> str:
    now = datetime.fromtimestamp(time.time(), UTC)
    return now.strftime("%Y-%m-%dT%H:%M:%S.%f") + "000Z"


def line(stream: str, text: str) -> str:
    """A log line as a full deployment stores it: the time padded to 30 places, the stream, the text."""
    return f"{stamp():<30} {stream}: {text}"


def truncated(limit: int) -> str:
    return f"Logs were truncated because the total bytes size exceeds the limit of {limit} bytes."


class LogFile:
    """One stream of a container; `position` is where the next activation's output starts."""

    def __init__(self, stream: str, path: Path) -> None:
        self.stream = stream
        self.path = path
        self.position = 0
        self._searched = 0  # up to here there is no sentinel
        self._end: int | None = None  # where the activation's sentinel starts, once it was found

    def complete(self) -> bool:
        """Whether the sentinel of the activation that just ran is there."""
        with self.path.open("rb") as file:
            while self._end is None:
                file.seek(self._searched)
                chunk = file.read(CHUNK)
                found = chunk.find(SENTINEL)
                if found >= 0:
                    self._end = self._searched + found
                elif len(chunk) < CHUNK:
                    return False
                else:
                    self._searched += CHUNK - len(SENTINEL)  # a sentinel may lie across two chunks
        return True

    def take(self, limit: int) -> list[str]:
        """The first `limit` bytes of an activation's lines, and one more; the next one starts after its sentinel."""
        end = self.path.stat().st_size if self._end is None else self._end
        with self.path.open("rb") as file:
            file.seek(self.position)
            text = file.read(min(end - self.position, limit + 1))
        self._start_at(end if self._end is None else end + len(SENTINEL) + 1)
        return text.removesuffix(b"\n").decode(errors="replace").split("\n") if text.strip(b"\n") else []

    def skip(self) -> None:
        """Forget everything so far; called while the container is idle."""
        size = self.path.stat().st_size
        if size > KEEP:
            os.truncate(self.path, 0)  # the container appends, so its next line lands at the start
            size = 0
        self._start_at(size)

    def _start_at(self, position: int) -> None:
        self.position = self._searched = position
        self._end = None


class Logs:
    """Both streams of a container."""

    def __init__(self, folder: Path) -> None:
        self.files = (LogFile("stdout", folder / "stdout.log"), LogFile("stderr", folder / "stderr.log"))

    async def collect(self, limit: int, wait: bool, abnormal: bool) -> tuple[list[str], bool]:
        """Lines of the activation that ended, and whether both sentinels were found, if they were waited for."""
        found = await self._await_sentinels() if wait else True
        lines = _cut([(file.stream, text) for file in self.files for text in file.take(limit)], limit)
        if abnormal:
            lines.append(line("stderr", ABNORMAL))
        elif not found:
            lines.append(line("stderr", INCOMPLETE))
        return lines, found

    def skip(self) -> None:
        for file in self.files:
            file.skip()

    async def _await_sentinels(self) -> bool:
        deadline = time.monotonic() + SENTINEL_WAIT
        attempt = 0
        while not all(file.complete() for file in self.files):
            if time.monotonic() > deadline:
                return False
            await asyncio.sleep(POLLS[min(attempt, len(POLLS) - 1)])
            attempt += 1
        return True


def _cut(entries: list[tuple[str, str]], limit: int) -> list[str]:
    """Formatted lines up to the limit of the action's text, and a last line that says what is missing."""
    lines: list[str] = []
    size = 0
    for stream, text in entries:
        size += len(text.encode()) + 1
        if size > limit:
            lines.append(line("stderr", truncated(limit)))
            break
        lines.append(line(stream, text))
    return lines
