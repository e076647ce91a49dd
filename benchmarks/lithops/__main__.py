"""Lithops' map_reduce and ours, interleaved: the same training on the same platform. Ended at any time, it goes on.

    PYTHONPATH=actions:runtime:scripts python -m benchmarks.lithops [--pairs 5] [--results FOLDER]

Data: the file that MNIST_NPZ names, else Keras' download. Lithops is installed into .local/bench.
"""

import itertools
import json
import sys
from pathlib import Path
from typing import Any

import click
from rich.console import Console

from benchmarks import sources, tables
from benchmarks.cases import CASES, Case, Row
from benchmarks.lithops import environment, stage
from benchmarks.lithops.front import FrontError
from benchmarks.measure import Measurement, measure
from benchmarks.run import RESULTS, WORK, Files, read
from benchmarks.stage import Stage, StageError
from services import ServiceError

START = "cold"  # blackbox images cannot be prewarmed
OURS = next(case for case in CASES if case.name == "ours, 4 epochs")
THEIRS = Case("Lithops, 4 epochs", "lithops", OURS.dataset, OURS.epochs)
TRIES = 3  # of Lithops', a pair
ROWS = (
    Row("time, 4 epochs of MNIST, both cold", OURS.name, THEIRS.name, "seconds", 0.7),
    Row("accuracy", OURS.name, THEIRS.name, "accuracy", 0.0, difference=True, least=True),
)
NOTES = f"""
Lithops: its OpenWhisk backend and its S3 storage on the same localwhisk and versitygw, in a blackbox image with
the same TensorFlow, which its proxy imports at the start as ours does; Keras `fit` in every call. What ours does for
this case: {stage.WORKERS} workers, {stage.ROUNDS} rounds (of `map_reduce`), local batch {stage.BATCH}, {THEIRS.epochs}
epochs in all, {stage.MEMORY} MB a function. In Lithops' favour: the clock starts when its client is imported and its
action deployed, the client that splits the data set has no quota, and nothing is cleaned up meanwhile. It lists its
statuses every {stage.POLL_SECONDS} s; its default is 2 s. A proxy ends TLS before localwhisk: Lithops' client knows no
plain http. Where its reducer meets an empty answer (`EOFError`: a call's process shares an open connection to the store
with the one it was forked from), Lithops is started again, and only the run that ends well is timed: `ended_early` in
lithops.jsonl counts the others.
"""
console = Console(highlight=False)


def perform(pairs: int, results: Path) -> None:
    """Measure what is missing, ours first."""
    lines, work = results / "lithops.jsonl", WORK / "lithops"
    files = Files(work / "files", quick=False)
    ours, theirs = Stage(work / "ours", prewarmed=False), stage.Stage(work / "theirs")
    for pair in range(1, pairs + 1):
        for case in (OURS, THEIRS):
            if pair in read(lines, START).get(case.name, {}):
                continue
            with console.status(f"{case.name}, pair {pair} ..."):
                data, model = files.data(case.dataset), files.model(case.dataset, pair)
                found: Measurement = (
                    measure(ours, case, pair, data, model) if case is OURS else whole(theirs, pair, data, model)
                )
            with lines.open("a") as file:
                file.write(json.dumps({"case": case.name, "pair": pair, "start": START, **found}) + "\n")
            console.print(f"{case.name}, pair {pair}: {found['seconds']:.1f} s, accuracy {found['accuracy']}")


def whole(theirs: stage.Stage, pair: int, data: Path, model: Path) -> Measurement:
    """Measure Lithops, again where it ended early; `ended_early` says how often."""
    for early in itertools.count():
        try:
            return {**theirs.measure(pair, data, model), "ended_early": early}
        except stage.EndedError as error:
            if early + 1 == TRIES:
                raise
            console.print(str(error))
    raise AssertionError("the loop above returns or raises")


def write(results: Path) -> None:
    """Write lithops.md."""
    known = read(results / "lithops.jsonl", START)
    facts: dict[str, Any] = {**tables.machine(), "lithops": environment.VERSION, "start": START}
    judged = [tables.judged(row, known) for row in ROWS]
    (results / "lithops.md").write_text(tables.markdown(facts, judged, [OURS, THEIRS], known) + NOTES)


@click.command(help=__doc__)
@click.option("--pairs", default=5, show_default=True, help="how often each is measured; its number is the seed")
@click.option("--results", type=click.Path(path_type=Path, file_okay=False), default=RESULTS, show_default=True)
def main(pairs: int, results: Path) -> None:
    """Measure and report."""
    results.mkdir(parents=True, exist_ok=True)
    try:
        perform(pairs, results)
    except (sources.SourceError, StageError, ServiceError, FrontError) as error:
        sys.exit(f"benchmarks.lithops: {error}")
    finally:
        write(results)
    console.print(f"{results / 'lithops.md'}")


if __name__ == "__main__":
    main()
