"""The containers under measurement: gives those with TensorFlow their CPU quota, samples everybody's private memory.

Used by benchmarks.stage. The quota is set from outside, as `docker update --cpus` does it: OpenWhisk's own `user-cpus`
is in proportion to memory, so that conductors would crawl and the single action's larger limit would buy more CPU.
"""

import contextlib
import json
import os
import threading
from pathlib import Path
from types import TracebackType
from typing import Any

PERIOD_US = 100_000
QUIET_SECONDS = 0.05  # of CPU that all of them together may use in one second and still count as waiting


class Watch:
    """Looks at a localwhisk's containers, every `interval` seconds, until the block ends."""

    def __init__(self, containers: Path, quota: float | None, interval: float) -> None:
        self._containers, self._quota, self._interval = containers, quota, interval
        self._known: dict[str, Group] = {}
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.error: str | None = None

    def __enter__(self) -> "Watch":
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._thread.join()

    def forget(self) -> None:
        """Start a measurement: peaks from now on."""
        for group in list(self._known.values()):
            group.peak = 0

    def peak(self) -> int:
        """Return the most private memory that one container had, in bytes."""
        return max((group.peak for group in list(self._known.values())), default=0)

    def waiting(self, count: int, pause: float = 1.0) -> bool:
        """Tell whether `count` containers with TensorFlow are up and do nothing: it is imported."""
        before = self._processor_seconds()
        self._ended.wait(pause)
        after = self._processor_seconds()
        return len(after) >= count and sum(after.values()) - sum(before.values()) < QUIET_SECONDS * pause

    def _processor_seconds(self) -> dict[str, float]:
        found = {}
        for name, group in list(self._known.items()):
            with contextlib.suppress(OSError):
                if group.tensorflow:
                    found[name] = processor_seconds(group.pid)
        return found

    def _run(self) -> None:
        try:
            while not self._ended.wait(self._interval):
                for note in self._containers.glob("*/process.json"):
                    self._look(note)
        except Exception as error:  # noqa: BLE001 - a thread's end would pass unseen, and with it the memory
            self.error = f"watch: {error!r}"

    def _look(self, note: Path) -> None:
        name = note.parent.name
        # a container may end between any two of these reads
        with contextlib.suppress(OSError, json.JSONDecodeError):
            if name not in self._known:
                written = json.loads(note.read_text())
                if written["pid"] is None:  # about to start
                    return
                group = Group(written)
                if group.tensorflow and self._quota is not None:
                    group.limit(self._quota)
                self._known[name] = group
            self._known[name].sample()


class Group:
    """One container's control groups, version 1 or 2."""

    def __init__(self, note: dict[str, Any]) -> None:
        folders = [Path(folder) for folder in note["groups"]]
        if not folders:
            raise RuntimeError("control groups: got none, expected those of the containers; run as a user that may")
        self.pid, self.peak = int(note["pid"]), 0
        self.tensorflow = b"\0OW_PRELOAD=tensorflow" in Path(f"/proc/{self.pid}/environ").read_bytes()
        self._stat = stat_of(folders)
        self._folders = folders

    def limit(self, cpus: float) -> None:
        """Set the hard CPU quota."""
        quota = int(cpus * PERIOD_US)
        for folder in self._folders:
            if (folder / "cpu.max").exists():
                (folder / "cpu.max").write_text(f"{quota} {PERIOD_US}")
            elif (folder / "cpu.cfs_quota_us").exists():
                (folder / "cpu.cfs_period_us").write_text(str(PERIOD_US))
                (folder / "cpu.cfs_quota_us").write_text(str(quota))

    def sample(self) -> None:
        """Look at the private memory: `rss` of version 1, `anon` of version 2."""
        for line in self._stat.read_text().splitlines():
            name, _, value = line.partition(" ")
            if name in ("rss", "anon"):
                self.peak = max(self.peak, int(value))


def stat_of(folders: list[Path]) -> Path:
    """Return the group's memory.stat; FileNotFoundError when the group is gone."""
    for folder in folders:
        if (folder / "memory.stat").exists():
            return folder / "memory.stat"
    raise FileNotFoundError(f"{folders}: no memory.stat")


def processor_seconds(pid: int) -> float:
    """Return how much CPU a process has used, user and system."""
    text = Path(f"/proc/{pid}/stat").read_text()
    fields = text[text.rindex(")") + 2 :].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
