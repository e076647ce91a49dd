"""Look for the schedule that is as accurate as one worker: run each experiment once, keep its result, tell of all.

    PYTHONPATH=actions python -m benchmarks.schedule --seeds 1,2,3,4,5 "batch 16, 1e-3, 14 passes"

Results are one JSON line each in schedule.jsonl beside this file; what stands there is not run again.
"""

import json
import os
import statistics
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from benchmarks import sources
from benchmarks.experiments import EXPERIMENTS
from benchmarks.simulation import Settings, simulate

RESULTS = Path(__file__).with_name("schedule.jsonl")
DATASET = "cifar10"
SHOWN_PASSES = (8, 10, 12, 14)
TAIL = "4"  # averages averaged once more: two passes of two rounds each


def read(path: Path) -> list[dict[str, Any]]:
    """Return the finished experiments."""
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def find(known: list[dict[str, Any]], settings: Settings, seed: int) -> dict[str, Any] | None:
    """Return an experiment's line."""
    mine = asdict(settings)
    return next((line for line in known if line["settings"] == mine and line["seed"] == seed), None)


def append(path: Path, line: dict[str, Any]) -> None:
    """Add a finished experiment in one write."""
    with path.open("a") as file:
        file.write(json.dumps(line) + "\n")


def told(name: str, line: dict[str, Any]) -> str:
    """Put an experiment in one line."""
    points = ", ".join(f"{point['passes']}: {100 * point['accuracy']:.2f}" for point in line["points"])
    return f"{name}, seed {line['seed']}: {points}"


def table(lines: list[dict[str, Any]]) -> str:
    """Return all results as Markdown: mean test accuracy over the seeds, after so many passes."""
    head = ["experiment", "seeds", *(f"{passes} passes" for passes in SHOWN_PASSES)]
    rows = [[name, *row(lines, settings)] for name, settings in EXPERIMENTS.items()]
    drawn = [head, ["---"] * len(head), *(found for found in rows if found[1])]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in drawn)


def row(lines: list[dict[str, Any]], settings: Settings) -> list[str]:
    """Return an experiment's seeds, and its accuracies: of the last average, and of the last four averaged."""
    mine = [line for line in lines if line["settings"] == asdict(settings)]
    cells = [", ".join(str(line["seed"]) for line in sorted(mine, key=lambda line: line["seed"]))]
    for passes in SHOWN_PASSES:
        points = [point for line in mine for point in line["points"] if point["passes"] == passes]
        last = [point["accuracy"] for point in points]
        tails = [point["tails"][TAIL]["accuracy"] for point in points if TAIL in point["tails"]]
        cell = f"{100 * statistics.mean(last):.2f}" if last else ""
        cells.append(f"{cell} ({100 * statistics.mean(tails):.2f})" if tails and settings.workers > 1 else cell)
    return cells


@click.command(help=__doc__)
@click.option("--seeds", default="1", show_default=True, help="seeds, separated by commas")
@click.option(
    "--results", type=click.Path(path_type=Path, dir_okay=False), default=RESULTS, help="where the lines are kept"
)
@click.option("--table", "show", is_flag=True, help="run nothing, show all results")
@click.argument("names", nargs=-1)
def main(seeds: str, results: Path, show: bool, names: tuple[str, ...]) -> None:
    """Run the experiments that NAMES name (all of them where there is none), seed by seed."""
    if show:
        print(table(read(results)))
        return
    unknown = sorted(set(names) - EXPERIMENTS.keys())
    if unknown:
        sys.exit(f"benchmarks.schedule: got {unknown[0]!r}, expected one of {', '.join(EXPERIMENTS)}")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    try:
        arrays = sources.load(DATASET)
    except sources.SourceError as error:
        sys.exit(f"benchmarks.schedule: {error}")
    work = [(name, int(seed)) for seed in seeds.split(",") for name in names or EXPERIMENTS]
    for name, seed in work:
        settings = EXPERIMENTS[name]
        line = find(read(results), settings, seed)
        if line is None:
            line = with_bar(f"{name}, seed {seed}", settings, seed, arrays)
            append(results, line)
        print(told(name, line), flush=True)


def with_bar(title: str, settings: Settings, seed: int, arrays: sources.Arrays) -> dict[str, Any]:
    """Carry out an experiment and show how far it is."""
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn()
    with Progress(*columns, transient=True, console=Console(stderr=True)) as progress:
        task = progress.add_task(title, total=settings.rounds)
        line: dict[str, Any] = simulate(
            settings, seed, DATASET, arrays, lambda done: progress.update(task, completed=done)
        )
        return line


if __name__ == "__main__":
    main()
