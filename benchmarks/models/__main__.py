"""Small models of every common kind, each held to plain Keras; results/models.md says how far they were apart.

PYTHONPATH=actions:runtime:scripts python -m benchmarks.models [NAME]...
"""

import sys
import tempfile
import time
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import click
from rich.console import Console

from benchmarks import tables
from benchmarks.models import checks
from benchmarks.models.catalogue import BY_NAME, ROWS
from benchmarks.models.checks import CHECKS, CLOSE, LANES, Found
from benchmarks.models.row import EXAMPLES, Row
from benchmarks.models.trial import STEPS, Trial

RESULTS = Path(__file__).parents[1] / "results" / "models.md"
ABOUT = f"""\
Largest difference of each check, relative where a number is above 1, with {EXAMPLES} examples in {STEPS} batches.
Reader: the planner takes file and data. Lane: weights, optimizer slots and means of the sums after one lane, against
`Model.fit` on the same batches with the same seeds. Average: {LANES} equal lanes merged by the reducer's arithmetic,
against one of them, and moving averages against their formula. File: every number of an evaluation, relative, against
plain Keras' with what the learner saved. Limits: 0, {CLOSE:g}, {CLOSE:g}, and 1e-06 (0.0001 in 16 bits)."""
console = Console(highlight=False)


@dataclass(frozen=True)
class Measured:
    """A row, what its model is, and what was found of it."""

    row: Row
    optimizer: str
    parameters: int
    found: tuple[Found, ...]


def measure(row: Row) -> Measured:
    """Carry out a row's checks, and say what came of each."""
    with tempfile.TemporaryDirectory() as folder:
        trial, found = Trial(row, Path(folder)), []
        for one in checks.perform(trial):
            found.append(one)
            console.print(f"{row.name} {one.check}: {said(one)}", soft_wrap=True)
    return Measured(row, trial.optimizer, trial.parameters, tuple(found))


def said(one: Found) -> str:
    """Return what came of a check: ok and the difference, or what is wrong."""
    told = f"{one.difference:.1e}"
    return f"ok ({told})" if one.ok else f"{told}, expected {one.limit:g} at most: {one.said}"


def markdown(measured: Sequence[Measured], seconds: float) -> str:
    """Return the page."""
    facts = ", ".join(f"{name} {value}" for name, value in tables.machine().items())
    return "\n".join([
        "# Models held to plain Keras",
        "",
        f"{facts}; {seconds:.0f} s.",
        "",
        ABOUT,
        "",
        f"| model | kind | optimizer | parameters | {' | '.join(CHECKS)} |",
        f"|---|---|---|---|{'---|' * len(CHECKS)}",
        *(line(one) for one in measured),
        "",
    ])  # fmt: skip


def line(one: Measured) -> str:
    """Return a row of the table."""
    differences = (f"{found.difference:.1e}" if found.difference else "0" for found in one.found)
    return f"| {' | '.join((one.row.name, one.row.kind, one.optimizer, str(one.parameters), *differences))} |"


def rows(_: click.Context, __: click.Parameter, names: Sequence[str]) -> list[Row]:
    """Return the rows of these names, all where there are none."""
    if unknown := [name for name in names if name not in BY_NAME]:
        raise click.BadParameter(f"got {unknown[0]!r}, expected names of docs/models.md, like {ROWS[0].name}")
    return [BY_NAME[name] for name in names] or [*ROWS]


@click.command(help=__doc__)
@click.argument("wanted", metavar="[NAME]...", nargs=-1, callback=rows)
@click.option("--results", type=click.Path(path_type=Path, dir_okay=False), default=RESULTS, show_default=True)
def main(wanted: list[Row], results: Path) -> None:
    """Check and report; the page is that of a run over all."""
    warnings.filterwarnings("ignore", "Model doesn't support `jit_compile=True`")  # as that row says
    began = time.monotonic()
    measured = [measure(row) for row in wanted]
    failed = sum(not found.ok for one in measured for found in one.found)
    console.print(f"{len(measured)} models, {sum(len(one.found) for one in measured)} checks, {failed} failed")
    if len(measured) == len(ROWS):
        results.write_text(markdown(measured, time.monotonic() - began))
        console.print(f"{results}")
    sys.exit(failed > 0)


if __name__ == "__main__":
    main()
