"""The reducer at size: time and private memory of one turn, for megabytes of weights and numbers of lanes.

    PYTHONPATH=actions:runtime:scripts python -m benchmarks.reducer [--sizes 1,10,100] [--workers 2,4,8,16]

Ended at any time, it goes on where it was. What is measured is `dl/reducer` itself, in its container of 256 MB, on a
platform of its own; beside it, how fast the same S3 server gives the same objects to one plain reader.
"""

import json
import statistics
import sys
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import product
from pathlib import Path
from typing import Any

import click
from rich.console import Console

import deployment
from benchmarks import tables
from benchmarks.client import Client
from benchmarks.lanes import Lanes
from benchmarks.stage import started, write_runtimes
from benchmarks.watch import Watch
from local_platform import Platform
from services import ROOT, ServiceError

RESULTS = Path(__file__).parent
WORK = ROOT / ".local" / "bench" / "reducer"
WATCH_SECONDS = 0.02
MEMORY = 256  # MB, the reducer's limit: room for one container
MOMENTA = (0.0, 0.3)
BLOCK = 1 << 20  # bytes, of the plain reader
PATIENCE = 300
DRIVER = "benchmark"
MB = 1_000_000
ABOUT = """\
One turn of `dl/reducer`, which closes a round and writes the next wave, in its container of 256 MB without CPU quota on
localwhisk. Seconds: of the activation, container warm; the median, and least and most. A state is three times its
weights (float32, Adam's two slots); input is the lanes' states, each counted once: an outer momentum reads the weights
of two more. MB/s: input over the median. Server: one plain reader (urllib) of the same objects from the same S3 server
(versitygw, page cache). Memory: the container's greatest private memory, sampled every 20 ms; goal: 128 MiB. All
averages were compared with numpy's, and repeated runs byte by byte."""
console = Console(highlight=False)

Line = dict[str, Any]


class ReducerError(Exception):
    """A reducer that failed, in one sentence."""


def read(path: Path) -> list[Line]:
    """Return what was measured before."""
    return [json.loads(text) for text in path.read_text().splitlines()] if path.exists() else []


@contextmanager
def deployed() -> Iterator[Platform]:
    """Start a platform with everything deployed, without prewarmed containers, without the minute's limits."""
    platform = Platform(WORK / "platform")
    runtimes = write_runtimes(WORK / "runtimes.json", {})
    limits = ("--invocations-per-minute", "100000", "--concurrent", "1000", "--user-memory", str(MEMORY))
    with started(platform, [*limits, "--runtimes", str(runtimes)]):
        deployment.deploy(platform.environment(), kinds=False)
        yield platform


def perform(sizes: Sequence[int], workers: Sequence[int], repeat: int, path: Path) -> None:
    """Measure what is missing; forms and numbers of lanes alternate."""
    done = {(line["repeat"], *case(line)) for line in read(path)}
    with deployed() as platform, Watch(platform.state / "localwhisk" / "containers", None, WATCH_SECONDS) as watch:
        client = Client(platform.environment())
        for size in sizes:
            wanted = product(range(1, repeat + 1), [size], workers, MOMENTA)
            if not (todo := [each for each in wanted if each not in done]):
                continue
            lanes = Lanes(platform.bucket(), size)
            try:
                lanes.upload(max(workers))
                turn(lanes, client, watch, min(workers), 0.0)  # starts the container: not counted
                for number, _, count, momentum in todo:
                    found = turn(lanes, client, watch, count, momentum)
                    line = {"size": size, "repeat": number, "workers": count, "momentum": momentum, **found}
                    refuse_another(line, read(path))
                    with path.open("a") as file:
                        file.write(json.dumps(line) + "\n")
                    console.print(f"{size} MB, {count} lanes, momentum {momentum}, {number}: {found['seconds']:.2f} s")
            finally:
                lanes.delete()


def refuse_another(line: Line, known: Sequence[Line]) -> None:
    """Refuse bytes that differ from those of the same measurement's other runs."""
    if any(case(other) == case(line) and other["digest"] != line["digest"] for other in known):
        raise ReducerError(f"reducer: got other bytes for {case(line)} than before, expected the same")


def case(line: Line) -> tuple[int, int, float]:
    """Return what a line measures: megabytes, lanes, momentum."""
    return line["size"], line["workers"], line["momentum"]


def turn(lanes: Lanes, client: Client, watch: Watch, workers: int, momentum: float) -> Line:
    """Let the reducer close the round and write the next wave, as train-loop calls it after a wave."""
    lanes.prepare(workers, momentum, DRIVER)
    server = round(plain_rate(lanes.urls(workers)))
    items = [{"lane": lane, "start": 0, "step": 1} for lane in range(workers)]
    watch.forget()
    activation = client.invoke("dl/reducer", {"run": lanes.run, "driver": DRIVER, "wave": 0, "items": items})
    record = client.wait(activation, PATIENCE)
    memory = watch.peak()
    if watch.error or not record["response"]["success"]:
        raise ReducerError(watch.error or f"reducer: got {record['response']['result']}, expected the next wave")
    if len(record["response"]["result"]["value"]) != workers:
        raise ReducerError(f"reducer: got {record['response']['result']}, expected a wave of {workers} lanes")
    return {
        "seconds": round(record["duration"] / 1000, 3),
        "input": workers * lanes.size,
        "server": server,
        "memory": memory,
        "digest": lanes.check(workers, momentum),
    }


def plain_rate(urls: Sequence[str]) -> float:
    """Return the bytes a second that one plain reader gets, object after object."""
    buffer, total, began = bytearray(BLOCK), 0, time.perf_counter()
    for url in urls:
        with urllib.request.urlopen(url) as answer:
            while count := answer.readinto(buffer):
                total += count
    return total / (time.perf_counter() - began)


def markdown(lines: Sequence[Line]) -> str:
    """Return the page: medians, and the spread of the seconds."""
    facts = {name: value for name, value in tables.machine().items() if name not in ("tensorflow-cpu", "keras")}
    groups: dict[tuple[int, int, float], list[Line]] = {}
    for line in lines:
        groups.setdefault(case(line), []).append(line)
    return "\n".join([
        "# The reducer at size",
        "",
        ", ".join(f"{name} {value}" for name, value in facts.items()) + ".",
        "",
        ABOUT,
        "",
        "| weights, MB | lanes | outer momentum | input, MB | seconds | MB/s | server, MB/s | memory, MiB | runs |",
        "|---|---|---|---|---|---|---|---|---|",
        *(row(*group, found) for group, found in sorted(groups.items())),
        "",
    ])  # fmt: skip


def row(size: int, workers: int, momentum: float, lines: Sequence[Line]) -> str:
    """Return a row of the table."""
    seconds = [line["seconds"] for line in lines]
    median, given, server = statistics.median(seconds), lines[0]["input"], statistics.median(x["server"] for x in lines)
    memory = max(line["memory"] for line in lines) / (1 << 20)
    cells = (size, workers, momentum, round(given / MB), f"{median:.2f} ({min(seconds):.2f} .. {max(seconds):.2f})")
    rates = (f"{given / median / MB:.0f}", f"{server / MB:.0f}", f"{memory:.0f}", len(lines))
    return f"| {' | '.join(map(str, (*cells, *rates)))} |"


def numbers(_: click.Context, __: click.Parameter, text: str) -> list[int]:
    """Read numbers with commas between them."""
    if not all(part.isdecimal() and int(part) for part in text.split(",")):
        raise click.BadParameter(f"got {text!r}, expected numbers like 1,10,100")
    return [int(part) for part in text.split(",")]


@click.command(help=__doc__)
@click.option("--sizes", default="1,10,100", show_default=True, callback=numbers, help="megabytes of weights")
@click.option("--workers", default="2,4,8,16", show_default=True, callback=numbers, help="numbers of lanes")
@click.option("--repeat", default=3, show_default=True, help="how often each is measured")
@click.option("--results", type=click.Path(path_type=Path, file_okay=False), default=RESULTS, show_default=True)
def main(sizes: list[int], workers: list[int], repeat: int, results: Path) -> None:
    """Measure and report."""
    results.mkdir(parents=True, exist_ok=True)
    path = results / "reducer.jsonl"
    try:
        perform(sizes, workers, repeat, path)
    except (ReducerError, ServiceError, deployment.DeployError) as error:
        sys.exit(f"benchmarks.reducer: {error}")
    finally:
        (results / "reducer.md").write_text(markdown(read(path)))
    console.print(f"{results / 'reducer.md'}")


if __name__ == "__main__":
    main()
