"""How well the planner foresees a trainer's memory: its estimate beside the measured peak of models of many kinds.

    PYTHONPATH=actions:runtime:scripts python -m benchmarks.estimate [MODEL ...]

Each model is trained for two rounds and evaluated by one trainer, a process of the image's proxy and environment. The
coefficients of plan/keras_memory.py were fitted to the models named FITTED; the others were measured afterwards.
"""

import io
import json
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import keras
import numpy as np
from rich.console import Console

import images
import services
from benchmarks import pipeline, tables
from benchmarks.container import NO_PLATFORM, ContainerError, Process
from benchmarks.footprints import FITTED, UNSEEN, Sized
from benchmarks.memory import action
from benchmarks.pipeline import Pipeline
from common.plan import plan as plans
from common.rounds import rounds, shares, warm_up
from common.storage.objects import Objects
from common.storage.run import Run
from services import Bucket

RESULTS = Path(__file__).parent / "results"
MB = 1 << 20
PLENTY = 1 << 16  # MB
BATCHES, TESTED = 3, 64
ABOUT = """\
Peak of a trainer's private memory in MiB, warming up, training or evaluating: estimated from the model's file, and
measured. The estimate was fitted to the first models, not to the unseen ones."""
console = Console(highlight=False)


def examples(model: Any, batch: int) -> dict[str, Any]:
    """Return random examples that a model takes."""
    random, count = np.random.default_rng(0), BATCHES * batch
    shape = (count, *model.input_shape[1:])
    numbers = random.integers(0, 100, shape) if model.inputs[0].dtype == "int32" else random.normal(size=shape)
    x = numbers.astype("i4" if model.inputs[0].dtype == "int32" else "f4")
    y = (np.arange(count) % 10).astype(np.uint8)
    return {"x_train": x, "y_train": y, "x_test": x[:TESTED], "y_test": y[:TESTED]}


def measured(bucket: Bucket, folder: Path, name: str, sized: Sized) -> dict[str, Any]:
    """Train and evaluate a model; return estimate and peak in bytes."""
    keras.utils.clear_session()
    model, path, data = sized.build(), folder / f"{name}.keras", io.BytesIO()
    model.save(path)
    np.savez(data, **examples(model, sized.batch))
    with tempfile.TemporaryDirectory(dir=folder) as own, Process(images.TENSORFLOW_IMAGE, Path(own)) as trainer:
        trainer.start("trainer")
        steps = Pipeline(bucket, {step: action(step) for step in pipeline.STEPS}, [trainer.run])
        given = {"dataset": steps.put("data.npz", data.getvalue()), "model": steps.put("m.keras", path.read_bytes())}
        numbers = {"workers": 1, "epochs": 2, "rounds": 2, "local_batch_size": sized.batch}
        steps.run(memory=PLENTY, run=name, **given, **numbers)
    run = Run(Objects(bucket.params), name)
    plan = plans.read(run)
    return {
        "model": name,
        "batch": sized.batch,
        "estimated": plan.trainer.estimated,
        "peak": max(peaks(run, plan)),
    }


def peaks(run: Run, plan: plans.Plan) -> Iterator[int]:
    """Yield the memory that the run's trainers measured: warming up, training and evaluating."""
    yield from (one["memory"] for one in warm_up.measurements(run)[0])
    yield from (lane["memory"] for lanes in rounds.all_summaries(run, range(plan.rounds)) for lane in lanes)
    yield from (share["memory"] for share in shares.collect(run, plan))


def markdown(rows: list[dict[str, Any]]) -> str:
    """Return the page."""
    facts = ", ".join(f"{name} {value}" for name, value in tables.machine().items())
    lines = []
    for row in sorted(rows, key=lambda row: row["model"] in UNSEEN):
        off = row["estimated"] / row["peak"] - 1
        kind = "unseen" if row["model"] in UNSEEN else "fitted"
        numbers = f"{row['estimated'] / MB:.0f} | {row['peak'] / MB:.0f} | {off:+.1%}"
        lines.append(f"| {row['model']} | {kind} | {row['batch']} | {numbers} |")
    head = ["| model | | batch | estimated | measured | off by |", "|---|---|---|---|---|---|"]
    return "\n".join(["# The estimate of memory", "", f"{facts}.", "", ABOUT, "", *head, *lines, ""])


@click.command(help=__doc__)
@click.option("--results", type=click.Path(path_type=Path, file_okay=False), default=RESULTS, show_default=True)
@click.argument("models", nargs=-1, type=click.Choice([*FITTED, *UNSEEN]))
def main(results: Path, models: tuple[str, ...]) -> None:
    """Measure and report."""
    os.environ["__OW_API_HOST"] = NO_PLATFORM
    known = {**FITTED, **UNSEEN}
    try:
        with tempfile.TemporaryDirectory() as folder, pipeline.store(Path(folder) / "s3") as bucket:
            for name in models or known:
                row = measured(bucket, Path(folder), name, known[name])
                console.print(f"{name}: {row['estimated'] / MB:.0f} MiB estimated, {row['peak'] / MB:.0f} measured")
                with (results / "estimate.jsonl").open("a") as file:
                    file.write(json.dumps(row) + "\n")
    except (ContainerError, services.ServiceError) as error:
        sys.exit(f"benchmarks.estimate: {error}")
    rows = [json.loads(line) for line in (results / "estimate.jsonl").read_text().splitlines()]
    (results / "estimate.md").write_text(markdown(rows))


if __name__ == "__main__":
    main()
