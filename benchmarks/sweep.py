"""A sweep: many runs of one small job at once, at stock throttles; results/sweep.md says how long they took.

PYTHONPATH=actions:runtime:scripts python -m benchmarks.sweep [--runs 20]
"""

import sys
import time
from pathlib import Path
from typing import Any

import click

import deployment
from benchmarks.client import Client
from benchmarks.faults.job import PARAMETERS, upload
from benchmarks.run import RESULTS, WORK
from benchmarks.stage import started
from benchmarks.tables import machine
from common.plan import plan as plans
from common.rounds import ledger, warm_up
from common.rounds.pace import STOCK
from common.storage.objects import Objects
from common.storage.run import Run
from deployment import DeployError
from local_platform import Platform
from services import ServiceError

RATES = (0.001, 0.003, 0.01, 0.03, 0.1)  # runs of one rate must have the same weights
LONGEST_SECONDS = 3600.0
FLAGS = ("--user-memory", "16384")  # MB; each run that waits holds a reducer


def swept(platform: Platform, runs: int) -> list[dict[str, Any]]:
    """Start the runs, the next as soon as the platform took the one before; return how each ended."""
    client, began = Client(platform.environment()), time.time()
    names = {f"sweep-{time.strftime('%H%M%S')}-{k}": RATES[k % len(RATES)] for k in range(runs)}
    given = {run: {**PARAMETERS, "run": run, "learning_rate": rate} for run, rate in names.items()}
    ids = {run: client.invoke("dl-pipeline", parameters) for run, parameters in given.items()}
    records = {run: client.wait(activation, LONGEST_SECONDS) for run, activation in ids.items()}
    return [
        {
            **record["response"]["result"],
            "run": run,
            "rate": names[run],
            "seconds": record["end"] / 1000 - began,
            "sha256": record["response"]["result"].get("weights_sha256"),
        }
        for run, record in records.items()
    ]


def invocations(platform: Platform, runs: list[str]) -> int:
    """Return how many invocations the runs needed: their starts, warm-ups and branches, refused ones included."""
    objects, found = Objects(platform.bucket().params), 0
    for run in (Run(objects, name) for name in runs):
        waves = [wave for number in range(len(run.sizes("waves/"))) if (wave := ledger.find(run, number))]
        warmed = plans.read(run).workers + 1 if warm_up.find(run) else 0
        found += 1 + warmed + sum(len(wave.slices) for wave in waves)
    return found


def markdown(lines: list[dict[str, Any]], needed: int) -> str:
    """Return the page."""
    least = 60 * ((needed - 1) // STOCK.per_minute)
    longest = max(line["seconds"] for line in lines)
    about = ", ".join(f"{name} {value}" for name, value in machine().items())
    return "\n".join([
        "# A sweep",
        "",
        f"{about}.",
        "",
        f"{len(lines)} runs of the faults' job, {STOCK.per_minute} invocations a minute, {STOCK.at_once} in flight.",
        f"They needed {needed} invocations, for which the throttle alone asks {least} s. All had ended after",
        f"{longest:.0f} s.",
        "",
        "| run | learning rate | seconds | accuracy | weights |",
        "|---|---|---|---|---|",
        *map(row, lines),
        "",
    ])  # fmt: skip


def row(line: dict[str, Any]) -> str:
    """Return one line of the table."""
    digest = str(line["sha256"])[:12]
    return f"| {line['run']} | {line['rate']} | {line['seconds']:.0f} | {line.get('accuracy')} | {digest} |"


@click.command(help=__doc__)
@click.option("--runs", default=20, show_default=True, help="how many at once")
@click.option("--results", type=click.Path(path_type=Path, file_okay=False), default=RESULTS, show_default=True)
def main(runs: int, results: Path) -> None:
    """Sweep, and write the page; exit 1 unless all runs are right."""
    platform = Platform(WORK / "sweep")
    try:
        with started(platform, FLAGS):
            deployment.deploy(platform.environment(), kinds=True)
            upload(platform.bucket())
            lines = swept(platform, runs)
            needed = invocations(platform, [line["run"] for line in lines])
    except (DeployError, ServiceError) as error:
        sys.exit(f"benchmarks.sweep: {error}")
    results.mkdir(parents=True, exist_ok=True)
    (results / "sweep.md").write_text(markdown(lines, needed))
    wrong = [f"{line['run']}: {line.get('error')}" for line in lines if line["sha256"] is None]
    digests = {(line["rate"], line["sha256"]) for line in lines}
    if wrong or len(digests) != min(runs, len(RATES)):
        sys.exit("benchmarks.sweep: " + "; ".join([*wrong, f"got {len(digests)} digests of {len(RATES)} rates"]))


if __name__ == "__main__":
    main()
