"""The split at size: seconds and private memory of planner and splitters, by format, gigabytes and splitters at once.

    PYTHONPATH=actions:runtime:scripts python -m benchmarks.split [--sizes 1,10] [--splitters 1,4] [FORMAT]...

Ended at any time, it goes on where it was. What is measured are `dl/planner` and `dl/splitter` in their containers of
256 MB, called in waves as dl-pipeline does; beside it, how fast a program copies the same bytes in the same store.
"""

import json
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import product
from pathlib import Path
from typing import Any

import boto3
import click
from boto3.s3.transfer import TransferConfig
from botocore.config import Config
from rich.console import Console

import deployment
from benchmarks import tables
from benchmarks.client import Client
from benchmarks.datasets import FORMATS, model
from benchmarks.measure import empty
from benchmarks.reducer import numbers
from benchmarks.run import RESULTS, WORK
from benchmarks.stage import started, write_runtimes
from benchmarks.watch import Watch
from common.plan import plan as plans
from common.storage.objects import Location, Objects
from common.storage.run import Run
from deployment import DeployError
from local_platform import Platform
from services import Bucket, ServiceError

WATCH_SECONDS = 0.05
MEMORY = 4096  # MB: room for four splitters, the conductors and the planner
PATIENCE = 3600.0
MB, GB, MIB = 1_000_000, 1_000_000_000, 1 << 20
PARTS = TransferConfig(multipart_chunksize=64 << 20)
SMALL = ("csv", "images")  # formats that are measured at 1 GB alone
ABOUT = """\
`dl/planner` and `dl/splitter` in containers of 256 MB, without CPU quota, on localwhisk; two cores for them, the store
(versitygw) and the conductors. Four lanes, examples sorted by label, a tenth held out. Plan: the planner's seconds, a
table is read twice in them. Split: seconds from the first call of the splitter to `split.json`, waves of so many
splitters and the putting together included. Copy: one program reads and writes the same bytes in the same store.
Memory: the greatest private memory of any one container."""
console = Console(highlight=False)

Line = dict[str, Any]


class SplitError(Exception):
    """A split that failed, in one sentence."""


def read(path: Path) -> list[Line]:
    """Return what was measured before."""
    return [json.loads(text) for text in path.read_text().splitlines()] if path.exists() else []


@contextmanager
def deployed() -> Iterator[Platform]:
    """Start a platform with everything deployed, without prewarmed containers, without the minute's limits."""
    platform = Platform(WORK / "split")
    runtimes = write_runtimes(WORK / "split-runtimes.json", {})
    limits = ("--invocations-per-minute", "100000", "--concurrent", "1000", "--user-memory", str(MEMORY))
    with started(platform, [*limits, "--runtimes", str(runtimes)]):
        deployment.deploy(platform.environment(), kinds=False)
        yield platform


def perform(todo: Sequence[tuple[str, int]], splitters: Sequence[int], path: Path) -> None:
    """Measure what is missing."""
    done = {(line["format"], line["size"], line["splitters"]) for line in read(path)}
    with deployed() as platform, Watch(platform.state / "localwhisk" / "containers", None, WATCH_SECONDS) as watch:
        objects = Objects(platform.bucket().params)
        for form, size in todo:
            if not (left := [count for count in splitters if (form, size, count) not in done]):
                continue
            keys = uploaded(platform.bucket(), form, size)
            found = {
                "format": form,
                "size": size,
                "bytes": sum(keys.values()),
                "copy": copied(platform.bucket(), objects, keys),
            }
            for count in left:
                line = {**found, "splitters": count, **measured(objects, Client(platform.environment()), watch, count)}
                with path.open("a") as file:
                    file.write(json.dumps(line) + "\n")
                console.print(f"{form}, {size} GB, {count} splitters: {line['split']:.1f} s")
            for key in keys:
                objects.delete(Location(objects.bucket, key))


def uploaded(bucket: Bucket, form: str, size: int) -> dict[str, int]:
    """Make a dataset of so many gigabytes and put it into the store; return {key: bytes}."""
    sizes, client = {}, patient(bucket)
    empty(bucket, "bench-split/")  # what a run that was ended has left
    with tempfile.TemporaryDirectory(dir=WORK) as folder:
        FORMATS[form](Path(folder), size * GB)
        for file in sorted(Path(folder).iterdir()):
            sizes[f"bench-split/{file.name}"] = file.stat().st_size
            client.upload_file(str(file), bucket.bucket, f"bench-split/{file.name}", Config=PARTS)
        client.put_object(Bucket=bucket.bucket, Key="bench-split.keras", Body=model(form))
    return sizes


def patient(bucket: Bucket) -> Any:
    """Return a client that waits until a server has put 10 GB together."""
    where: dict[str, Any] = {"endpoint_url": bucket.endpoint, "region_name": bucket.region}
    keys: dict[str, Any] = {"aws_access_key_id": bucket.access_key, "aws_secret_access_key": bucket.secret_key}
    return boto3.client("s3", **where, **keys, config=Config(read_timeout=PATIENCE, s3={"addressing_style": "path"}))


def copied(bucket: Bucket, objects: Objects, keys: dict[str, int]) -> float:
    """Return the seconds in which a program reads objects from the store and writes them to it."""
    began, client = time.perf_counter(), patient(bucket)
    for key in keys:
        to = f"bench-copy/{Path(key).name}"
        client.upload_fileobj(objects.open(Location(objects.bucket, key)), bucket.bucket, to, Config=PARTS)
    seconds = time.perf_counter() - began
    for key in keys:
        objects.delete(Location(objects.bucket, f"bench-copy/{Path(key).name}"))
    return round(seconds, 2)


def measured(objects: Objects, client: Client, watch: Watch, splitters: int) -> Line:
    """Plan and split, at most so many splitters side by side; return seconds and memory."""
    run = Run(objects, f"bench-split-{time.time_ns()}")
    watch.forget()
    given = {"dataset": "bench-split/", "model": "bench-split.keras", "workers": 4, "epochs": 1}
    planned = called(client, "dl/planner", {**given, "run": run.name})
    began, waves, params = time.time(), 0, Line()
    while (said := called(client, "dl/splitter", {"run": run.name, "driver": "bench", **params})[0])["pending"]:
        params, waves = {}, waves + 1
        if said["value"]:
            value = merged(said["value"], splitters)
            params = {"items": called(client, "dl/wave", {"value": value})[0]["value"]}
            params["items"] += [{}] * (len(said["value"]) - len(params["items"]))
    found = {"plan": planned[1], "split": round(time.time() - began, 2), "waves": waves, "memory": watch.peak()}
    for folder in (run, plans.read(run).data(objects)):
        for key in folder.sizes(""):
            objects.delete(folder.at(key))
    return found


def merged(value: list[Line], splitters: int) -> list[Line]:
    """Give the slices of a wave to fewer splitters."""
    groups = [value[number::splitters] for number in range(min(splitters, len(value)))]
    return [{**group[0], "slices": sorted(n for one in group for n in one["slices"])} for group in groups]


def called(client: Client, name: str, params: Line) -> tuple[Any, float]:
    """Return the result of an action and its seconds."""
    record = client.wait(client.invoke(name, params), PATIENCE)
    if not record["response"]["success"]:
        raise SplitError(f"{name}: got {record['response']['result']}, expected a result")
    return record["response"]["result"], record["duration"] / 1000


def markdown(lines: Sequence[Line]) -> str:
    """Return the page."""
    facts = {name: value for name, value in tables.machine().items() if name not in ("tensorflow-cpu", "keras")}
    about = ", ".join(f"{name} {value}" for name, value in facts.items())
    heads = ("format", "GB", "splitters", "plan, s", "split, s", "waves", "MB/s", "copy, MB/s", "split / copy")
    return "\n".join([
        "# The split at size", "", f"{about}.", "", ABOUT, "",
        f"| {' | '.join((*heads, 'memory, MiB'))} |",
        "|---" * 10 + "|",
        *(row(line) for line in sorted(lines, key=lambda line: (line["format"], line["size"], line["splitters"]))),
        "",
    ])  # fmt: skip


def row(line: Line) -> str:
    """Return a row of the table."""
    rate, copy = line["bytes"] / line["split"] / MB, line["bytes"] / line["copy"] / MB
    rates = (f"{rate:.0f}", f"{copy:.0f}", f"{rate / copy:.2f}", f"{line['memory'] / MIB:.0f}")
    cells = (f"{line['bytes'] / GB:.1f}", line["splitters"], f"{line['plan']:.1f}", f"{line['split']:.1f}")
    return f"| {' | '.join(map(str, (line['format'], *cells, line['waves'], *rates)))} |"


@click.command(help=__doc__)
@click.argument("formats", nargs=-1, type=click.Choice(list(FORMATS)))
@click.option("--sizes", default="1,10", show_default=True, callback=numbers, help="gigabytes")
@click.option("--splitters", default="1,4", show_default=True, callback=numbers, help="at once")
@click.option("--results", type=click.Path(path_type=Path, file_okay=False), default=RESULTS, show_default=True)
def main(formats: Sequence[str], sizes: list[int], splitters: list[int], results: Path) -> None:
    """Measure and report."""
    results.mkdir(parents=True, exist_ok=True)
    WORK.mkdir(parents=True, exist_ok=True)
    path = results / "split.jsonl"
    todo = [(form, size) for form, size in product(formats or FORMATS, sizes) if size == 1 or form not in SMALL]
    try:
        perform(todo, splitters, path)
    except (SplitError, ServiceError, DeployError) as error:
        sys.exit(f"benchmarks.split: {error}")
    finally:
        (results / "split.md").write_text(markdown(read(path)))
    console.print(f"{results / 'split.md'}")


if __name__ == "__main__":
    main()
