"""The action a data scientist would write without openwhisk-dl: trains alone, by Keras fit, float32 in memory.

Deployed by benchmarks.stage; benchmarks.bare runs the same function in a process of its own.
"""

import io
import tempfile
import time
import urllib.request
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

Arrays = dict[str, NDArray[Any]]


def main(params: dict[str, Any]) -> dict[str, Any]:
    """Train on the dataset at one URL the model at another, and say how good it is; `put` is where it goes."""
    began = time.time()
    arrays, model = read(params["data"]), read_model(params["model"])
    ends = Ends(keep=params["curve"])
    model.fit(
        arrays["x_train"],
        arrays["y_train"],
        batch_size=params["batch"],
        epochs=params["epochs"],
        callbacks=[ends],
        verbose=0,
    )
    scores = evaluate(model, arrays)
    if params["put"]:
        write_model(model, params["put"])
    seconds = time.time() - began
    points = [{"at": at, "accuracy": evaluate_at(model, weights, arrays)} for at, weights in ends.kept]
    return {"accuracy": scores["accuracy"], "loss": scores["loss"], "seconds": seconds, "points": points}


class Ends(keras.callbacks.Callback):  # type: ignore[misc]
    """When each epoch ended, and with which weights; they are judged when the clock has stopped."""

    def __init__(self, keep: bool) -> None:
        super().__init__()
        self.keep = keep
        self.kept: list[tuple[float, list[NDArray[Any]]]] = []

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Keep the weights."""
        if self.keep:
            self.kept.append((time.time(), self.model.get_weights()))


def read(url: str) -> Arrays:
    """Fetch an .npz; images as float32."""
    with urllib.request.urlopen(url) as answer, np.load(io.BytesIO(answer.read())) as file:
        arrays = dict(file)
    return {name: array.astype(np.float32) if name.startswith("x_") else array for name, array in arrays.items()}


def read_model(url: str) -> Any:
    """Fetch a .keras file."""
    with tempfile.TemporaryDirectory() as folder, urllib.request.urlopen(url) as answer:
        path = Path(folder) / "model.keras"
        path.write_bytes(answer.read())
        return keras.models.load_model(path)


def write_model(model: Any, url: str) -> None:
    """Upload the trained model."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "final.keras"
        model.save(path)
        request = urllib.request.Request(url, path.read_bytes(), method="PUT")
        urllib.request.urlopen(request).close()


def evaluate(model: Any, arrays: Arrays) -> dict[str, float]:
    """Return loss and metrics on the test set."""
    scores: dict[str, float] = model.evaluate(arrays["x_test"], arrays["y_test"], verbose=0, return_dict=True)
    return scores


def evaluate_at(model: Any, weights: list[NDArray[Any]], arrays: Arrays) -> float:
    """Return the accuracy that some kept weights have."""
    model.set_weights(weights)
    return evaluate(model, arrays)["accuracy"]
