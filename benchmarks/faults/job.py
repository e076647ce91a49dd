"""The job that faults are tried on: handwritten digits, four lanes, four rounds, a few seconds; used by faults."""

import io
import tempfile
import time
import urllib.error
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import deployment
from benchmarks.client import Client
from benchmarks.measure import empty
from benchmarks.stage import started
from local_platform import Platform
from services import Bucket

FLAGS = ("--invocations-per-minute", "100000", "--concurrent", "1000")  # pacing would hide what a fault costs
DATASET, MODEL = "faults/digits.npz", "faults/digits.keras"
PARAMETERS = {"dataset": DATASET, "model": MODEL, "workers": 4, "epochs": 2, "rounds": 4, "outer_momentum": 0.3}
LONGEST_SECONDS = 900.0  # of one invocation: longer is a run that does not end
POLL_SECONDS = 0.2
BY_HAND = 3  # invocations after the first


@dataclass(frozen=True)
class Ended:
    """How a run ended: the digest of its weights (None: it did not), and after how many invocations more."""

    sha256: str | None
    by_hand: int
    seconds: float
    said: str


class Job:
    """A platform with everything deployed, on which the job is invoked again and again."""

    def __init__(self, platform: Platform) -> None:
        self.platform = platform
        self.client = Client(platform.environment())
        self._count = 0
        self.flags = FLAGS

    def run_name(self) -> str:
        """Return the name of a new run, for which nothing is split yet."""
        self._count += 1
        empty(self.platform.bucket(), "splits/")
        return f"fault-{time.strftime('%H%M%S')}-{self._count}"

    def invoke(self, run: str) -> str:
        """Start the pipeline; return its activation's id."""
        return self.client.invoke("dl-pipeline", {**PARAMETERS, "run": run})

    def finish(self, run: str, activation: str, began: float) -> Ended:
        """Wait for a run's end; what ends in an error is invoked again, as a user does, BY_HAND times."""
        said = "nothing"
        for by_hand in range(BY_HAND + 1):
            result = self._result(activation)
            if result and "weights_sha256" in result:
                return Ended(str(result["weights_sha256"]), by_hand, time.time() - began, said)
            said = str(result and result.get("error"))[:200]
            activation = self.invoke(run)
        return Ended(None, BY_HAND, time.time() - began, said)

    def _result(self, activation: str) -> dict[str, Any] | None:
        """Return what an invocation gave, None where its record never came: its platform was killed."""
        try:
            answer = self._wait(activation)
        except TimeoutError:
            return None
        return dict(answer["response"]["result"] or {})

    def _wait(self, activation: str) -> dict[str, Any]:
        end = time.monotonic() + LONGEST_SECONDS
        server = self.platform.running().get("localwhisk")
        while time.monotonic() < end:
            if server and not server.process.alive():
                raise TimeoutError("the platform was killed, and the activation with it")
            try:
                return self.client.wait(activation, POLL_SECONDS)
            except (TimeoutError, urllib.error.URLError, ConnectionError):
                continue
        raise TimeoutError(f"activation {activation}: no record after {LONGEST_SECONDS:.0f} s")


@contextmanager
def prepared(folder: Path) -> Iterator[Job]:
    """Start a platform, deploy, upload data and model; stop it at the end."""
    platform = Platform(folder)
    with started(platform, FLAGS):
        deployment.deploy(platform.environment(), kinds=True)
        upload(platform.bucket())
        yield Job(platform)


def upload(bucket: Bucket) -> None:
    """Put data and model into the bucket."""
    for key, body in ((DATASET, digits()), (MODEL, network())):
        bucket.client.put_object(Bucket=bucket.bucket, Key=key, Body=body)


def digits() -> bytes:
    """Return scikit-learn's digits as an .npz: 1 400 for training, 397 for the test."""
    from sklearn.datasets import load_digits

    images, labels = load_digits(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(images))
    x, y = images[order].astype(np.uint8).reshape(-1, 8, 8, 1), labels[order].astype(np.uint8)
    file = io.BytesIO()
    np.savez(file, x_train=x[:1400], y_train=y[:1400], x_test=x[1400:], y_test=y[1400:])
    return file.getvalue()


def network() -> bytes:
    """Return a network with batch norm and dropout, so that every kind of state is in play."""
    import keras
    from keras import layers

    keras.utils.set_random_seed(1)
    body = [layers.Conv2D(16, 3, use_bias=False), layers.BatchNormalization(), layers.ReLU(), layers.Flatten()]
    scaled = [keras.Input((8, 8, 1)), layers.Rescaling(1 / 16)]
    model = keras.Sequential([*scaled, *body, layers.Dropout(0.2), layers.Dense(10, "softmax")])
    model.compile(keras.optimizers.Adam(3e-3), "sparse_categorical_crossentropy", metrics=["accuracy"])
    with tempfile.TemporaryDirectory() as folder:
        model.save(Path(folder) / "digits.keras")
        return (Path(folder) / "digits.keras").read_bytes()
