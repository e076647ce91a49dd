"""What localwhisk itself costs: a call, a step of a composition, many at once, start-up, memory; run by scripts/bench.

A fresh localwhisk with raised limits in a temporary folder runs actions that do nothing; what their own run took, as
the records say, is taken off.
"""

import asyncio
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import aiohttp
from rich.console import Console
from rich.table import Table

from localwhisk.auth import basic
from services import ROOT

FLAGS = ("--invocations-per-minute", "1000000", "--concurrent", "100", "--user-memory", "8192")
NOTHING = "def main(a): return {}"
STEPS = 20
CONDUCTOR = f"""
def main(a):
  n = a.get('n', 0)
  return {{'params': {{}}}} if n == {STEPS} else {{'action': 'nothing', 'state': {{'n': n + 1}}}}
"""
STARTS, CALLS, COMPOSITIONS = 5, 300, 10
AT_ONCE, SECONDS = 30, 8.0


class Figure(NamedTuple):
    """One row of the table."""

    what: str
    unit: str
    target: str
    measured: str


class Running(NamedTuple):
    """A localwhisk that is ready, after this many seconds."""

    process: "subprocess.Popen[str]"
    address: str
    key: str
    seconds: float


@contextmanager
def localwhisk(*flags: str) -> Iterator[Running]:
    """Start one in a folder of its own, with further flags, and end it."""
    with tempfile.TemporaryDirectory(prefix="localwhisk-") as folder:
        command = [sys.executable, "-m", "localwhisk", "--state", folder, *FLAGS, *flags]
        environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT / "runtime")}
        begin = time.perf_counter()
        with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            process.stdout.readline()
            seconds = time.perf_counter() - begin
            properties = dict(line.split("=", 1) for line in (Path(folder) / "wskprops").read_text().splitlines())
            yield Running(process, properties["APIHOST"], properties["AUTH"], seconds)
            process.terminate()


class Caller:
    """A client of one localwhisk, with actions that do nothing."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session

    async def prepare(self) -> None:
        await self._put("nothing", NOTHING, conductor=False)
        await self._put("steps", CONDUCTOR, conductor=True)

    async def call(self, action: str) -> dict[str, Any]:
        """Invoke an action and return its record."""
        path = f"/api/v1/namespaces/_/actions/{action}?blocking=true"
        async with self._session.post(path, json={}) as response:
            record: dict[str, Any] = await response.json()
        if response.status != 200:
            raise RuntimeError(f"{action}: got {response.status} {record}, expected 200")
        return record

    async def _put(self, name: str, code: str, conductor: bool) -> None:
        body = {
            "exec": {"kind": "python:3.11", "code": code},
            "annotations": [{"key": "conductor", "value": conductor}],
            "limits": {"logs": 0, "memory": 128},
        }
        async with self._session.put(f"/api/v1/namespaces/_/actions/{name}", json=body) as response:
            response.raise_for_status()


async def warm_call(caller: Caller) -> float:
    """Median milliseconds of a warm call beyond its own run."""
    await caller.call("nothing")
    beyond: list[float] = []
    for _ in range(CALLS):
        begin = time.perf_counter()
        record = await caller.call("nothing")
        beyond.append((time.perf_counter() - begin) * 1000 - record["duration"])
    return statistics.median(beyond)


async def step(caller: Caller) -> float:
    """Median milliseconds of a composition's step: the conductor's run and the component's."""
    await caller.call("steps")
    each = []
    for _ in range(COMPOSITIONS):
        begin = time.perf_counter()
        await caller.call("steps")
        each.append((time.perf_counter() - begin) * 1000 / STEPS)
    return statistics.median(each)


async def rate(caller: Caller) -> float:
    """Activations a second with AT_ONCE callers, once each has a warm container."""

    async def keep_calling(until: float) -> int:
        count = 0
        while time.perf_counter() < until:
            await caller.call("nothing")
            count += 1
        return count

    for seconds in (2.0, SECONDS):
        begin = time.perf_counter()
        counts = await asyncio.gather(*(keep_calling(begin + seconds) for _ in range(AT_ONCE)))
        total = sum(counts) / (time.perf_counter() - begin)
    return total


def resident(pid: int) -> float:
    """Megabytes of memory that a process holds."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS:")) / 1024


async def measure() -> list[Figure]:
    """All figures; the memory before and after the load."""
    starts = []
    for _ in range(STARTS - 1):
        with localwhisk() as running:
            starts.append(running.seconds)
    with localwhisk() as running:
        starts.append(running.seconds)
        fresh = resident(running.process.pid)
        connector = aiohttp.TCPConnector(limit=AT_ONCE)
        headers = {"Authorization": basic(running.key)}
        async with aiohttp.ClientSession(running.address, headers=headers, connector=connector) as session:
            caller = Caller(session)
            await caller.prepare()
            warm, each, many = await warm_call(caller), await step(caller), await rate(caller)
        after = resident(running.process.pid)
    return [
        Figure("warm no-op, beyond its own run", "ms", "<= 10", f"{warm:.1f}"),
        Figure("composition step", "ms", "<= 25", f"{each:.1f}"),
        Figure(f"{AT_ONCE} concurrent no-ops", "activations/s", ">= 150", f"{many:.0f}"),
        Figure("start-up", "s", "<= 2", f"{statistics.median(starts):.2f}"),
        Figure("memory, idle after start", "MB", "<= 120", f"{fresh:.0f}"),
        Figure("memory, idle after the load above", "MB", "<= 120", f"{after:.0f}"),
    ]


def main() -> None:
    """Print the table, and how busy the machine was before."""
    load = os.getloadavg()[0]
    table = Table("measured", "unit", "wanted", "here (median)")
    for figure in asyncio.run(measure()):
        table.add_row(figure.what, figure.unit, figure.target, figure.measured)
    console = Console()
    console.print(table)
    console.print(f"{os.cpu_count()} CPUs; load average of the minute before: {load:.1f}")


if __name__ == "__main__":
    main()
