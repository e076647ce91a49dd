"""The benchmark: every case once a pair, interleaved, then table and plots. Ended at any time, it goes on where it was.

    PYTHONPATH=actions:runtime:scripts python -m benchmarks.run [--quick] [--pairs 5] [--results FOLDER] [CASE...]

Data: the files that MNIST_NPZ and CIFAR10_NPZ name, else Keras' downloads.
"""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
import numpy as np
from rich.console import Console

from benchmarks import plots, sources, tables
from benchmarks.cases import CASES, QUICK_CASES, QUICK_ROWS, ROWS, Case
from benchmarks.measure import measure
from benchmarks.stage import Stage, StageError
from services import ROOT, ServiceError

RESULTS = Path(__file__).with_name("results")
WORK = ROOT / ".local" / "bench"
QUICK_EXAMPLES = (2000, 500)  # training, test
console = Console(highlight=False)

Known = dict[str, dict[int, dict[str, Any]]]


def read(path: Path, start: str) -> Known:
    """Return what was measured before from the same start, by case and pair."""
    known: Known = {}
    for text in path.read_text().splitlines() if path.exists() else []:
        line = json.loads(text)
        if line["start"] == start:
            known.setdefault(line["case"], {})[line["pair"]] = line
    return known


class Files:
    """Data sets and networks as files, made once."""

    def __init__(self, folder: Path, quick: bool) -> None:
        self._folder, self._quick = folder, quick
        self._written: set[str] = set()
        folder.mkdir(parents=True, exist_ok=True)

    def data(self, name: str) -> Path:
        """Return a data set's file; a later run may name another source, so each process writes it anew."""
        path = self._folder / f"{name}.npz"
        if name not in self._written:
            arrays = sources.load(name)
            chosen: dict[str, Any] = sources.shortened(arrays, *QUICK_EXAMPLES) if self._quick else arrays
            np.savez_compressed(path, **chosen)
            self._written.add(name)
        return path

    def model(self, name: str, seed: int) -> Path:
        """Return a network's file, made by a process of its own: this one stays small."""
        path = self._folder / f"{name}-{seed}.keras"
        program = f"import pathlib, benchmarks.networks as n; n.save({name!r}, {seed}, pathlib.Path({str(path)!r}))"
        environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
        subprocess.run([sys.executable, "-c", program], cwd=ROOT, env=environment, check=True)
        return path


def perform(cases: Sequence[Case], pairs: int, results: Path, start: str, quick: bool) -> None:
    """Measure what is missing, pair by pair, so that slow hours of the machine meet all cases alike."""
    lines = results / "measurements.jsonl"
    work = WORK / ("quick" if quick else "full")
    files, stage = Files(work / "files", quick), Stage(work / "platforms", start == "prewarmed")
    todo = [(case, pair) for pair in range(1, pairs + 1) for case in cases]
    for number, (case, pair) in enumerate(todo, 1):
        if pair > case.pairs or pair in read(lines, start).get(case.name, {}):
            continue
        title = f"{number} of {len(todo)}: {case.name}, pair {pair}"
        with console.status(f"{title} ..."):
            found = measure(stage, case, pair, files.data(case.dataset), files.model(case.network, pair))
        line = {"case": case.name, "pair": pair, "start": start, **tables.environment(), **found}
        with lines.open("a") as file:
            file.write(json.dumps(line) + "\n")
        console.print(f"{title}: {found['seconds']:.1f} s, accuracy {found['accuracy']}, failures {found['failures']}")


def write(cases: Sequence[Case], rows: Sequence[Any], results: Path, start: str) -> None:
    """Write results.json, results.md and the plots."""
    known = read(results / "measurements.jsonl", start)
    facts = {**tables.machine(), "start": start}
    judged = [tables.judged(row, known) for row in rows]
    document = {"machine": facts, "rows": judged, "measurements": known}
    (results / "results.json").write_text(json.dumps(document, indent=1) + "\n")
    (results / "results.md").write_text(tables.markdown(facts, judged, cases, known))
    plots.draw(known, results)


@click.command(help=__doc__)
@click.option("--quick", is_flag=True, help="the same on a few examples and with one pair, in a minute or two")
@click.option("--pairs", default=5, show_default=True, help="how often each case is measured; its number is the seed")
@click.option("--start", type=click.Choice(["prewarmed", "cold"]), default="prewarmed", show_default=True)
@click.option("--results", type=click.Path(path_type=Path, file_okay=False), default=RESULTS, show_default=True)
@click.argument("names", nargs=-1, metavar="[CASE]...")
def main(quick: bool, pairs: int, start: str, results: Path, names: tuple[str, ...]) -> None:
    """Measure and report."""
    cases, rows = (QUICK_CASES, QUICK_ROWS) if quick else (CASES, ROWS)
    unknown = sorted(set(names) - {case.name for case in cases})
    if unknown:
        sys.exit(f"benchmarks.run: got {unknown[0]!r}, expected one of {', '.join(case.name for case in cases)}")
    results.mkdir(parents=True, exist_ok=True)
    chosen = [case for case in cases if not names or case.name in names]
    try:
        perform(chosen, 1 if quick else pairs, results, start, quick)
    except (sources.SourceError, StageError, ServiceError) as error:
        sys.exit(f"benchmarks.run: {error}")
    finally:
        write(cases, rows, results, start)
    console.print(f"{results / 'results.md'}")


if __name__ == "__main__":
    main()
