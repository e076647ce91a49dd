"""Faults in a small job, one a run, by a seed; results/faults.md says what came of them.

PYTHONPATH=actions:runtime:scripts python -m benchmarks.faults [--runs 60] [--seed 1] [KIND]...
"""

import json
import random
import statistics
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import click
from rich.console import Console

from benchmarks.faults import job, tables
from benchmarks.faults.job import Job
from benchmarks.faults.kinds import KINDS, Kind, Scene
from benchmarks.run import RESULTS, WORK
from benchmarks.tables import machine
from deployment import DeployError
from services import ServiceError

UNDISTURBED = 5  # runs for the median; one before them warms the containers
TRIES = 6  # of a fault that came too late for its run
console = Console(highlight=False)


def order(kinds: Sequence[Kind], runs: int, chance: random.Random) -> Iterator[Kind]:
    """Yield kinds, each as often as the others, shuffled."""
    for first in range(0, runs, len(kinds)):
        yield from chance.sample(kinds, min(len(kinds), runs - first))


def undisturbed(running: Job) -> tuple[str, float]:
    """Return the digest of the weights and the median of the seconds of runs without a fault."""
    ended = []
    for _ in range(UNDISTURBED + 1):
        run, began = running.run_name(), time.time()
        ended.append(running.finish(run, running.invoke(run), began))
    digests = {one.sha256 for one in ended}
    if len(digests) != 1 or None in digests:
        sys.exit(f"benchmarks.faults: undisturbed runs gave {digests}, expected one digest ({ended[0].said})")
    return str(ended[0].sha256), statistics.median(one.seconds for one in ended[1:])


def struck(running: Job, kind: Kind, chance: random.Random, expected: str, seconds: float) -> Iterator[dict[str, Any]]:
    """Yield runs with one fault each until it comes in time."""
    for _ in range(TRIES):
        line = tried(running, kind, chance, expected, seconds)
        yield line
        if line["hit"]:
            return


def tried(running: Job, kind: Kind, chance: random.Random, expected: str, seconds: float) -> dict[str, Any]:
    """Carry out one run with one fault."""
    run, began = running.run_name(), time.time()
    activation = running.invoke(run)
    hit = kind.strike(Scene(running, run, activation, chance, seconds))
    ended = running.finish(run, activation, began)
    return {
        "kind": kind.name,
        "run": run,
        "hit": hit,
        "same": ended.sha256 == expected,
        "by_hand": ended.by_hand,
        "kills_platform": kind.kills_platform,
        "extra": round(ended.seconds - seconds, 1),
        "said": ended.said,
    }


@click.command(help=__doc__)
@click.option(
    "--runs",
    default=60,
    show_default=True,
    help="how many faults; one too late for its run comes again",
)
@click.option("--seed", default=1, show_default=True, help="decides kinds and moments")
@click.option("--results", type=click.Path(path_type=Path, file_okay=False), default=RESULTS, show_default=True)
@click.argument("names", nargs=-1, metavar="[KIND]...")
def main(runs: int, seed: int, results: Path, names: tuple[str, ...]) -> None:
    """Try all, and write the table."""
    kinds = [kind for kind in KINDS if not names or kind.name in names]
    chance, lines = random.Random(seed), []
    results.mkdir(parents=True, exist_ok=True)
    try:
        with job.prepared(WORK / "faults") as running:
            expected, seconds = undisturbed(running)
            console.print(f"undisturbed: {seconds:.1f} s, sha256 {expected[:12]}")
            for kind in order(kinds, runs, chance):
                for line in struck(running, kind, chance, expected, seconds):
                    lines.append(line)
                    console.print(json.dumps(line))
    except (DeployError, ServiceError) as error:
        sys.exit(f"benchmarks.faults: {error}")
    finally:
        (results / "faults.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
        facts = {**machine(), "seed": seed, "undisturbed seconds": round(seconds, 1) if lines else None}
        (results / "faults.md").write_text(tables.markdown(lines, facts))
    if not all(line["same"] for line in lines):
        sys.exit(1)


if __name__ == "__main__":
    main()
