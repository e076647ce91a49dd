"""A platform of the measurements' own: quota and limits stated, everything deployed, started anew for each one.

Used by benchmarks.measure. A fresh start means that no container is warm from the measurement before; containers with
TensorFlow wait prewarmed, for the single action as for ours, or there are none for either.
"""

import json
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import deployment
from benchmarks.cases import SINGLE_MEMORY, STOCK_MEMORY, Case
from benchmarks.client import Client
from benchmarks.watch import Watch
from images import TENSORFLOW_IMAGE
from local_platform import Platform
from services import ROOT, Bucket

KIND, SMALL_KIND = "python:3.11-tensorflow", "python:3.11-dl"
TRAINER_MEMORY, SMALL_MEMORY, CONDUCTOR_MEMORY = 384, 256, 128  # MB, as the manifest has them
PREWARM_SECONDS = 300
WATCH_SECONDS = 0.1  # twenty looks more a second took a twelfth of a core from what they looked at
TIMEOUT = 3_600_000  # ms
STOCK_TIMEOUT = 300_000
STOCK_FLAGS = ("--user-memory", "1024")
RUNTIMES = ROOT / "runtime" / "image" / "runtimes.json"


class StageError(Exception):
    """A platform that did not get ready, in one sentence."""


@dataclass(frozen=True)
class Running:
    """A platform that is up and waits."""

    client: Client
    bucket: Bucket
    watch: Watch


class Stage:
    """Two platforms in a folder, one with raised limits, one with OpenWhisk's own; `prewarmed` concerns the first."""

    def __init__(self, folder: Path, prewarmed: bool) -> None:
        self._folder, self._prewarmed = folder, prewarmed
        self._prepared: set[str] = set()

    @contextmanager
    def fresh(self, case: Case, files: Sequence[Path]) -> Iterator[Running]:
        """Start a platform for a case, with these files in its bucket; stop it at the end."""
        name = "stock" if case.stock else "raised"
        platform = Platform(self._folder / name)
        with started(platform, STOCK_FLAGS if case.stock else self._flags(case)):
            running = Running(
                Client(platform.environment()),
                platform.bucket(),
                Watch(platform.state / "localwhisk" / "containers", case.quota, WATCH_SECONDS),
            )
            with running.watch:
                self._prepare(name, platform, running, case.stock)
                for file in files:
                    running.bucket.client.upload_file(str(file), running.bucket.bucket, f"bench/{file.name}")
                self._await_stems(case, running.watch)
                yield running

    def _prepare(self, name: str, platform: Platform, running: Running, stock: bool) -> None:
        """Deploy everything, once a folder and process: the code may have changed since the last one."""
        if name in self._prepared:
            return
        deployment.deploy(platform.environment(), kinds=not stock)
        code = (Path(__file__).parent / "single" / "__main__.py").read_text()
        execution = {"kind": "blackbox", "image": TENSORFLOW_IMAGE} if stock else {"kind": KIND}
        memory, timeout = (STOCK_MEMORY, STOCK_TIMEOUT) if stock else (SINGLE_MEMORY, TIMEOUT)
        running.client.create("single", {**execution, "code": code, "binary": False}, memory, timeout)
        self._prepared.add(name)

    def _flags(self, case: Case) -> list[str]:
        runtimes = write_runtimes(self._folder / "runtimes.json", self._stems(case))
        # As much as the case needs: with more, replacements of taken stem cells would import TensorFlow meanwhile.
        # Stem cells leave room for one action of the greatest memory.
        room = SINGLE_MEMORY + sum(
            memory * count for cells in self._needed(case).values() for memory, count in cells.items()
        )
        return [
            *("--user-memory", str(room), "--max-memory", str(SINGLE_MEMORY), "--max-timeout", str(TIMEOUT)),
            *("--invocations-per-minute", "100000", "--concurrent", "1000", "--runtimes", str(runtimes)),
        ]

    def _needed(self, case: Case) -> dict[str, dict[int, int]]:
        """Containers that a case uses at once, by kind and memory."""
        if case.method == "single":
            return {KIND: {SINGLE_MEMORY: case.jobs}}
        # planner, splitter, reducer, and the joins' echo; pipeline, its warm-up's, loop, and a wave with its branches
        return {
            KIND: {TRAINER_MEMORY: case.workers * case.jobs},
            SMALL_KIND: {SMALL_MEMORY: 3 * case.jobs},
            "nodejs:20": {CONDUCTOR_MEMORY: (case.workers + 4) * case.jobs, SMALL_MEMORY: case.jobs},
        }

    def _stems(self, case: Case) -> dict[str, dict[int, int]]:
        return self._needed(case) if self._prewarmed else {}

    def _await_stems(self, case: Case, watch: Watch) -> None:
        count = 0 if case.stock else sum(self._stems(case).get(KIND, {}).values())
        end = time.monotonic() + PREWARM_SECONDS
        while not watch.waiting(count):
            if watch.error:
                raise StageError(watch.error)
            if time.monotonic() > end:
                raise StageError(f"platform: {count} prewarmed containers did not come to rest in {PREWARM_SECONDS} s")


@contextmanager
def started(platform: Platform, flags: Sequence[str]) -> Iterator[None]:
    """Start a platform for a block; one that a killed benchmark left is stopped before."""
    platform.stop()
    platform.start(flags)
    try:
        yield
    finally:
        platform.stop()


def write_runtimes(path: Path, stems: dict[str, dict[int, int]]) -> Path:
    """Write the project's runtimes manifest with these stem cells and no others, {kind: {MB: count}}."""
    manifest = json.loads(RUNTIMES.read_text())
    for entry in (entry for family in manifest["runtimes"].values() for entry in family):
        cells = stems.get(entry["kind"], {})
        entry["stemCells"] = [{"initialCount": count, "memory": f"{memory} MB"} for memory, count in cells.items()]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(manifest))
    return path
