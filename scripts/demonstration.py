"""The main job from nothing to a trained model, on this machine; run by scripts/demo.

Starts the platform (unless it is up), deploys, uploads handwritten digits and a small network, invokes dl-pipeline,
shows how far it is, prints what came out and the wsk commands that did it.
"""

import json
import shlex
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table

import deployment
import standing
from deployment import DeployError
from local_platform import Platform
from services import ROOT, Bucket, ServiceError
from standing import Standing
from zips import PackageError

WORK = ROOT / ".local" / "demo"
EXAMPLE = ROOT / "examples" / "mnist"
DATASET, MODEL = "demo/mnist.npz", "demo/cnn.keras"  # keys in the bucket
LEAST = {"MNIST": 0.985}  # accuracy on the test images; of the bundled digits
LEAST_DIGITS = 0.97
POLL_SECONDS = 1.0
NOT_FOUND = 148  # wsk's exit status is the HTTP status less 256
console = Console(highlight=False)


class DemoError(Exception):
    """Why the demo failed, in one sentence."""


@dataclass
class Job:
    """One invocation of the pipeline, and the commands a user would type for it."""

    environment: dict[str, str]
    store: Bucket
    run: str
    commands: list[str] = field(default_factory=list)

    def invoke(self, workers: int, epochs: int) -> str:
        """Start the pipeline and return its activation id."""
        given = {"dataset": DATASET, "model": MODEL, "workers": workers, "epochs": epochs, "run": self.run}
        words = [str(word) for name, value in given.items() for word in ("-p", name, value)]
        said = self.wsk("action", "invoke", "dl-pipeline", *words)
        return said.split()[-1]

    def result(self, activation: str) -> dict[str, Any] | None:
        """Return what the activation gave, None while it runs."""
        ran = deployment.run(self.environment, "wsk", "activation", "result", activation)
        if ran.returncode == NOT_FOUND:
            return None
        if ran.returncode:
            raise DemoError(f"wsk activation result {activation}: {ran.stderr.strip()}")
        found: dict[str, Any] = json.loads(ran.stdout)
        return found

    def wsk(self, *words: str) -> str:
        """Run a wsk command, remember it, and return its output."""
        self.commands.append(f"wsk {shlex.join(words)}")
        ran = deployment.run(self.environment, "wsk", *words)
        if ran.returncode:
            raise DemoError(f"wsk {shlex.join(words)}: {ran.stderr.strip()}")
        return ran.stdout


def make_examples() -> str:
    """Write dataset and model and return the dataset's name."""
    WORK.mkdir(parents=True, exist_ok=True)
    said = python(EXAMPLE / "data.py", WORK / "mnist.npz")
    python(EXAMPLE / "model.py", WORK / "cnn.keras")
    return str(json.loads(said.splitlines()[-1])["dataset"])


def python(program: Path, target: Path) -> str:
    """Run an example and return what it printed."""
    ran = subprocess.run([sys.executable, program, target], capture_output=True, text=True, check=False)
    if ran.returncode:
        raise DemoError(f"{program.relative_to(ROOT)}: {ran.stderr.strip().splitlines()[-1]}")
    return ran.stdout


def upload(store: Bucket) -> None:
    """Put dataset and model where the pipeline finds them."""
    store.client.upload_file(str(WORK / "mnist.npz"), store.bucket, DATASET)
    store.client.upload_file(str(WORK / "cnn.keras"), store.bucket, MODEL)


@contextmanager
def step(name: str) -> Iterator[None]:
    """Say what is being done and how long it took."""
    start = time.monotonic()
    with console.status(f"{name} ..."):
        yield
    console.print(f"{name}: {time.monotonic() - start:.1f} s")


def follow(job: Job, activation: str) -> dict[str, Any]:
    """Show how far the run is until it ends; return its result."""
    shown, start = None, time.monotonic()
    with Live(console=console, transient=True, auto_refresh=False) as live:
        while (result := job.result(activation)) is None:
            now = standing.read(job.store, job.run)
            if console.is_terminal:
                live.update(progress(now, time.monotonic() - start), refresh=True)
            elif now != shown:
                console.print(line(now))
            shown = now
            time.sleep(POLL_SECONDS)
    if "error" in result:
        raise DemoError(f"dl-pipeline: {result['error']}")
    return result


def line(now: Standing) -> str:
    """Put a standing in one line."""
    if not now.rounds:
        return now.phase
    accuracy = "" if now.accuracy is None else f", training accuracy {now.accuracy:.4f}"
    lanes = f"lanes {now.lanes} of {now.workers}"
    return f"{now.phase}: round {now.round} of {now.rounds}, {lanes}, waves {now.waves}{accuracy}"


def progress(now: Standing, seconds: float) -> Table:
    """Draw a standing as a bar, with the seconds since the invocation."""
    drawn = Table.grid(padding=(0, 2))
    done = now.round + (now.lanes / now.workers if now.workers else 0)
    bar = ProgressBar(total=max(1, now.rounds), completed=done, width=30)
    drawn.add_row(bar, f"{seconds:.0f} s", line(now))
    return drawn


def report(dataset: str, result: dict[str, Any], seconds: float) -> Table:
    """Put what came out in a table."""
    shown = Table(title="result", title_justify="left", show_header=False)
    shown.add_column()
    shown.add_column(overflow="fold")
    phases = ", ".join(f"{name} {value:.1f}" for name, value in result["seconds"].items())
    rows = {
        "dataset": dataset,
        "test accuracy": f"{result['accuracy']:.4f}",
        "test loss": f"{result['loss']:.4f}",
        "seconds, invocation to result": f"{seconds:.1f}",
        "seconds a phase": phases,
        "activations (estimated)": str(result["activations"]),
        "GB-seconds (estimated)": f"{result['gb_seconds_estimated']:.0f}",
        "sha256 of the weights": result["weights_sha256"],
        "trained model": result["final"],
        "its copy": str(WORK / "final.keras"),
    }
    for name, value in rows.items():
        shown.add_row(name, value)
    for warning in result["warnings"]:
        shown.add_row("warning", warning)
    return shown


def train(platform: Platform, workers: int, epochs: int) -> None:
    """Deploy, upload, run and show; DemoError when the model is worse than it should be."""
    environment = platform.environment()
    with step("package and deploy, with kinds in place of images"):
        deployment.deploy(environment, kinds=True)
    with step("make dataset and model"):
        dataset = make_examples()
    with step("upload both"):
        upload(platform.bucket())
    job = Job(environment, platform.bucket(), f"demo-{time.strftime('%Y%m%d-%H%M%S')}")
    start = time.monotonic()
    try:
        result = run_job(job, workers, epochs)
    except KeyboardInterrupt:
        job.wsk("action", "invoke", "dl/status", "-p", "run", job.run, "-p", "cancel", "true")
        raise
    job.store.client.download_file(job.store.bucket, f"runs/{job.run}/final.keras", str(WORK / "final.keras"))
    console.print(report(dataset, result, time.monotonic() - start))
    console.print("the commands:", *(f"  {command}" for command in job.commands), sep="\n", soft_wrap=True)
    least = LEAST.get(dataset, LEAST_DIGITS)
    if result["accuracy"] < least:
        raise DemoError(f"accuracy: got {result['accuracy']:.4f} on {dataset}, expected at least {least}")


def run_job(job: Job, workers: int, epochs: int) -> dict[str, Any]:
    """Invoke the pipeline and follow it to its end."""
    activation = job.invoke(workers, epochs)
    job.commands.append(f"wsk activation result {activation}")
    return follow(job, activation)


@click.command(help=__doc__)
@click.option("--workers", default=4, show_default=True, help="lanes that train side by side, 1..28")
@click.option("--epochs", default=3, show_default=True, help="passes over the training set")
@click.option("--keep", is_flag=True, help="leave the platform up")
def main(workers: int, epochs: int, keep: bool) -> None:
    """Run the demo; exit 1 with one sentence when it fails."""
    platform = Platform()
    ours = False
    try:
        if "localwhisk" not in platform.running():
            ours = True
            with step("start the platform"):
                platform.start()
        train(platform, workers, epochs)
    except KeyboardInterrupt:
        sys.exit("scripts/demo: interrupted")
    except (DemoError, DeployError, PackageError, ServiceError) as error:
        sys.exit(f"scripts/demo: {error}")
    finally:
        end(platform, ours, keep)


def end(platform: Platform, ours: bool, keep: bool) -> None:
    """Stop the platform when the demo started it and nobody wants to keep it."""
    if ours and not keep:
        console.print(f"stopped {', '.join(platform.stop())}")
    elif platform.running():
        console.print(f"the platform is up: export WSK_CONFIG_FILE={platform.state / 'wskprops'}", soft_wrap=True)


if __name__ == "__main__":
    main()
