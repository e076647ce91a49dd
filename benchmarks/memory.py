"""What a warm trainer keeps: private memory of one trainer's container after many runs, and after many models.

    PYTHONPATH=actions:runtime:scripts python -m benchmarks.memory [--runs 100] [--models 50]

The container is the image's proxy in the image's environment, as localwhisk starts it, without a platform around it. A
run is the pipeline's own, planned, split and reduced here, with one lane, one round and a real S3 server.
"""

import base64
import http.client
import importlib.util
import io
import json
import os
import secrets
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
import keras
import numpy as np
from keras import layers
from rich.console import Console

import images
import services
import zips
from benchmarks import tables
from localwhisk.processes import private_bytes
from services import ROOT, Bucket

MEMORY = Path(__file__).parent / "memory.md"
EXAMPLES, SHAPE, CLASSES = 256, (16, 16, 3), 4
NO_PLATFORM = "http://127.0.0.1:9"  # no limits but the stock ones
TURN_SECONDS = 300
SETTLED = 5  # runs after which growth is counted: libraries make their pools and caches in the first ones
MB = 1 << 20
ABOUT = """\
Private memory of one warm trainer, in MiB: a process of the image's proxy and environment. In each run it warms up,
trains a round and judges. Growth: from the fifth run to the last. Goal: at most 20 MB."""
console = Console(highlight=False)


class TrainerError(Exception):
    """A trainer that did not answer as it should, in one sentence."""


class Trainer:
    """One container of the trainer, warm from its first run on."""

    def __init__(self, folder: Path) -> None:
        environment = {**images.environments()["dl-tensorflow"], "PATH": os.environ["PATH"], "HOME": str(folder)}
        command = [str(ROOT / ".venv-tensorflow/bin/python"), str(ROOT / "runtime/image/proxy.py")]
        with socket.create_server((services.HOST, 0)) as listener, (folder / "log").open("wb") as log:
            self._port = listener.getsockname()[1]
            environment |= {"TMPDIR": str(folder), "OW_SOCKET": str(listener.fileno())}
            handed = (listener.fileno(),)
            self._process = subprocess.Popen(
                command, cwd=folder, env=environment, stdout=log, stderr=log, pass_fds=handed
            )

    def __enter__(self) -> "Trainer":
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()

    def start(self, archive: bytes) -> None:
        """Give the container its code; it answers when its preloaded modules are there."""
        self._post("/init", {"code": base64.b64encode(archive).decode(), "binary": True, "main": "main"})

    def run(self, value: dict[str, Any]) -> dict[str, Any]:
        """Do a slice and return its answer."""
        return self._post("/run", value)

    def held(self) -> int:
        """Return the private memory that it holds now, in bytes."""
        return int(private_bytes(self._process.pid))

    def _post(self, path: str, value: dict[str, Any]) -> dict[str, Any]:
        connection = http.client.HTTPConnection(services.HOST, self._port, timeout=TURN_SECONDS)
        try:
            connection.request("POST", path, json.dumps({"value": value}))
            answer = connection.getresponse()
            found: dict[str, Any] = json.loads(answer.read())
        finally:
            connection.close()
        if answer.status != http.client.OK or "error" in found:
            raise TrainerError(f"trainer: {path}: got status {answer.status}, {found}, expected an answer")
        return found


class Runs:
    """Whole runs of the pipeline with one trainer, planner and reducer called as the conductors do."""

    def __init__(self, trainer: Trainer, bucket: Bucket) -> None:
        self._trainer, self._bucket, self._given = trainer, bucket, {"s3": bucket.params}
        self._actions = {name: action(name) for name in ("planner", "splitter", "reducer")}
        os.environ["__OW_API_HOST"] = NO_PLATFORM
        random = np.random.default_rng(0)
        x, y = random.integers(0, 255, (EXAMPLES, *SHAPE), np.uint8), (np.arange(EXAMPLES) % CLASSES).astype(np.uint8)
        file = io.BytesIO()
        np.savez(file, x_train=x, y_train=y, x_test=x, y_test=y)
        self._data = self._put("data.npz", file.getvalue())

    def run(self, model: Path) -> None:
        """Train a model and judge it."""
        at = self._put("model.keras", model.read_bytes())
        numbers = {"workers": 1, "epochs": 1, "rounds": 1, "local_batch_size": 32}
        planned = self._actions["planner"]({**self._given, "dataset": self._data, "model": at, **numbers})
        for piece in planned["value"]:
            self._trainer.run(piece)
        turn = {**self._given, "run": planned["run"], "driver": "memory"}
        self._actions["splitter"](turn)
        while (found := self._actions["reducer"](turn))["pending"]:
            turn |= {"wave": found["wave"], "items": [self._trainer.run(piece) for piece in found["value"]]}

    def _put(self, name: str, body: bytes) -> str:
        self._bucket.client.put_object(Bucket=self._bucket.bucket, Key=f"memory/{name}", Body=body)
        return f"s3://{self._bucket.bucket}/memory/{name}"


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
    with tempfile.TemporaryDirectory() as folder, Trainer(Path(folder)) as trainer:
        archive = zips.write(Path(folder) / "trainer.zip", zips.python_action(ROOT / "actions" / "trainer"))
        trainer.start(archive.read_bytes())
        runs, found = Runs(trainer, bucket), []
        for model in models:
            runs.run(model)
            found.append(trainer.held())
        return found


def growth(found: Sequence[int]) -> int:
    """Return by how many bytes a trainer has grown since its libraries had settled."""
    return found[-1] - found[min(SETTLED, len(found)) - 1]


@contextmanager
def store(folder: Path) -> Iterator[Bucket]:
    """Start an S3 server of the measurement's own."""
    port = services.free_port()
    keys = ("bench", secrets.token_hex(20))
    bucket = Bucket(f"http://{services.HOST}:{port}", services.REGION, services.BUCKET, *keys)
    server = services.start_s3(folder, port, bucket)
    try:
        yield bucket
    finally:
        bucket.client.close()
        server.process.stop(patience=5)


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
        with tempfile.TemporaryDirectory() as folder, store(Path(folder) / "s3") as bucket:
            written = [network(number, Path(folder) / f"{number}.keras") for number in range(models)]
            rows = [
                ("one model, again and again", held(bucket, [written[0]] * runs)),
                ("as many models", held(bucket, written)),
            ]
    except (TrainerError, services.ServiceError) as error:
        sys.exit(f"benchmarks.memory: {error}")
    page.write_text(markdown(rows))
    console.print(markdown(rows))


if __name__ == "__main__":
    main()
