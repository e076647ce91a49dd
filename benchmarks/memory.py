"""What a warm trainer keeps: private memory of one trainer's container after many runs, and after many models.

    PYTHONPATH=actions:runtime:scripts python -m benchmarks.memory [--runs 100] [--models 50]

The container is the image's proxy in the image's environment, as localwhisk starts it, without a platform around it. A
run is the pipeline's own, planned, split and reduced here, with one lane, one round and a real S3 server.
"""

import importlib.util
import io
import os
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click
import keras
import numpy as np
from keras import layers
from rich.console import Console

import images
import services
from benchmarks import pipeline, tables
from benchmarks.container import NO_PLATFORM, ContainerError, Process
from benchmarks.pipeline import Pipeline
from services import ROOT, Bucket

MEMORY = Path(__file__).parent / "memory.md"
EXAMPLES, SHAPE, CLASSES = 256, (16, 16, 3), 4
SETTLED = 5  # runs after which growth is counted: libraries make their pools and caches in the first ones
MB = 1 << 20
ABOUT = """\
Private memory of one warm trainer, in MiB: a process of the image's proxy and environment. In each run it warms up,
trains a round and evaluates. Growth: from the fifth run to the last. Goal: at most 20 MB."""
console = Console(highlight=False)


class Runs:
    """Whole runs of the pipeline with one trainer, on examples of its own."""

    def __init__(self, trainer: Process, bucket: Bucket) -> None:
        steps = {name: action(name) for name in pipeline.STEPS}
        self._pipeline = Pipeline(bucket, steps, [trainer.run])
        os.environ["__OW_API_HOST"] = NO_PLATFORM
        random = np.random.default_rng(0)
        x, y = random.integers(0, 255, (EXAMPLES, *SHAPE), np.uint8), (np.arange(EXAMPLES) % CLASSES).astype(np.uint8)
        file = io.BytesIO()
        np.savez(file, x_train=x, y_train=y, x_test=x, y_test=y)
        self._data = self._pipeline.put("data.npz", file.getvalue())

    def run(self, model: Path) -> None:
        """Train a model and evaluate it."""
        at = self._pipeline.put("model.keras", model.read_bytes())
        self._pipeline.run(dataset=self._data, model=at, workers=1, epochs=1, rounds=1, local_batch_size=32)


def action(name: str) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """Return an action's main function, as a module of its own name."""
    spec = importlib.util.spec_from_file_location(f"{name}__", ROOT / "actions" / name / "__main__.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    found: Callable[[dict[str, Any]], dict[str, Any]] = module.main
    return found


def network(number: int, path: Path) -> Path:
    """Write one of many different networks: dense, convolutional, recurrent, with the layers that keep a state."""
    width = 8 + number
    middle: Sequence[Any] = [
        [layers.Flatten(), layers.Dense(40 * width, "relu"), layers.Dropout(0.3)],
        [layers.Conv2D(width, 3, activation="silu"), layers.BatchNormalization(), layers.GlobalAveragePooling2D()],
        [layers.Reshape((16, 48)), layers.LSTM(width, dropout=0.1)],
        [layers.SeparableConv2D(width, 3), layers.LayerNormalization(), layers.Flatten()],
        [layers.Reshape((16, 48)), layers.Bidirectional(layers.GRU(width))],
    ][number % 5]
    keras.utils.set_random_seed(number)
    model = keras.Sequential([keras.Input(SHAPE), *middle, layers.Dense(CLASSES, "softmax")])
    model.compile(["adam", "sgd", "rmsprop"][number % 3], "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.save(path)
    return path


def held(bucket: Bucket, models: Sequence[Path]) -> list[int]:
    """Return the private bytes of one warm trainer after each of the models' runs."""
    with tempfile.TemporaryDirectory() as folder, Process(images.TENSORFLOW_IMAGE, Path(folder)) as trainer:
        trainer.start("trainer")
        runs, found = Runs(trainer, bucket), []
        for model in models:
            runs.run(model)
            found.append(trainer.held())
        return found


def growth(found: Sequence[int]) -> int:
    """Return by how many bytes a trainer has grown since its libraries had settled."""
    return found[-1] - found[min(SETTLED, len(found)) - 1]


def markdown(rows: Sequence[tuple[str, Sequence[int]]]) -> str:
    """Return the page."""
    facts = ", ".join(f"{name} {value}" for name, value in tables.machine().items())
    head = ["| | runs | first | fifth | last | growth |", "|---|---|---|---|---|---|"]
    lines = [
        f"| {name} | {len(found)} | {found[0] / MB:.0f} | {found[min(SETTLED, len(found)) - 1] / MB:.0f} "
        f"| {found[-1] / MB:.0f} | {growth(found) / MB:.1f} |"
        for name, found in rows
    ]
    return "\n".join(["# A warm trainer's memory", "", f"{facts}.", "", ABOUT, "", *head, *lines, ""])


@click.command(help=__doc__)
@click.option("--runs", default=100, show_default=True, help="runs of one model")
@click.option("--models", default=50, show_default=True, help="different models")
@click.option("--page", type=click.Path(path_type=Path, dir_okay=False), default=MEMORY, show_default=True)
def main(runs: int, models: int, page: Path) -> None:
    """Measure and report."""
    try:
        with tempfile.TemporaryDirectory() as folder, pipeline.store(Path(folder) / "s3") as bucket:
            written = [network(number, Path(folder) / f"{number}.keras") for number in range(models)]
            rows = [
                ("one model, again and again", held(bucket, [written[0]] * runs)),
                ("as many models", held(bucket, written)),
            ]
    except (ContainerError, services.ServiceError) as error:
        sys.exit(f"benchmarks.memory: {error}")
    page.write_text(markdown(rows))
    console.print(markdown(rows))


if __name__ == "__main__":
    main()
