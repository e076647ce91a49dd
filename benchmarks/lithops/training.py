"""The training as a data scientist would write it with Lithops: map_reduce once a round; a program of its own.

Started by benchmarks.lithops.stage in Lithops' environment, with its task as JSON on standard input; the last line of
its output is the result. Lithops carries the weights; the data set's parts and the network lie in the bucket.
"""

import io
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import lithops  # type: ignore[import-not-found]
import numpy as np
from numpy.typing import NDArray

Weights = list[NDArray[Any]]
Task = dict[str, Any]

PATIENCE = 0.1  # seconds between two looks at the result; Lithops' default is 1


def train(lane: int, turn: int, weights: Weights | None, task: Task) -> Weights:
    """Train one part of a lane's data for one pass; return the weights."""
    import keras

    storage = lithops.Storage()  # its own: see read_model
    keras.utils.set_random_seed(1000 * task["seed"] + 10 * turn + lane)
    model = read_model(weights, task, storage)
    with np.load(read(storage, task, part(task, lane, turn))) as arrays:
        model.fit(arrays["x"], arrays["y"], batch_size=task["batch"], verbose=0)
    found: Weights = model.get_weights()
    return found


def average(results: list[Weights]) -> Weights:
    """Return the mean of the lanes' weights: their parts are equally long."""
    return [np.mean(arrays, axis=0) for arrays in zip(*results, strict=True)]


def evaluate(weights: Weights, task: Task) -> dict[str, float]:
    """Return loss and metrics on the test set."""
    storage = lithops.Storage()
    model = read_model(weights, task, storage)
    with np.load(read(storage, task, task["data"])) as arrays:
        scores: dict[str, float] = model.evaluate(arrays["x_test"], arrays["y_test"], verbose=0, return_dict=True)
    return scores


def read_model(weights: Weights | None, task: Task, storage: Any) -> Any:
    """Return the compiled network with these weights, or with its own.

    The storage that Lithops hands to a function shares its open connection with the process that forked it, which
    reports the call's start at the same moment: now and then each took the other's answer, and the network came empty.
    """
    import keras

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.keras"
        path.write_bytes(read(storage, task, task["model"]).getvalue())
        model = keras.models.load_model(path)
    if weights is not None:
        model.set_weights(weights)
    return model


def read(storage: Any, task: Task, key: str) -> io.BytesIO:
    """Fetch an object."""
    return io.BytesIO(storage.get_object(storage.bucket, key))


def part(task: Task, lane: int, turn: int) -> str:
    """Name what a lane trains on in a round: the parts of its shard in turn."""
    return f"{task['prefix']}{lane}-{turn % task['parts']}.npz"


def split(storage: Any, task: Task) -> None:
    """Write every lane's parts, shuffled once."""
    with np.load(read(storage, task, task["data"])) as file:
        x, y = file["x_train"], file["y_train"]
    order = np.random.default_rng(task["seed"]).permutation(len(x))
    pieces = np.array_split(order, task["workers"] * task["parts"])
    for number, chosen in enumerate(pieces):
        target = io.BytesIO()
        np.savez(target, x=x[chosen], y=y[chosen])
        storage.put_object(storage.bucket, part(task, *divmod(number, task["parts"])), target.getvalue())


def main(config: dict[str, Any], task: Task) -> dict[str, Any]:
    """Split, train round by round, evaluate."""
    began = time.time()
    executor = lithops.FunctionExecutor(config=config)
    split(executor.storage, task)
    weights, ends = None, []
    for turn in range(task["rounds"]):
        lanes = [(lane, turn, weights, task) for lane in range(task["workers"])]
        weights = executor.get_result(executor.map_reduce(train, lanes, average), wait_dur_sec=PATIENCE)
        ends.append(round(time.time() - began, 3))
    scores = executor.get_result(executor.call_async(evaluate, (weights, task)), wait_dur_sec=PATIENCE)
    return {"seconds": time.time() - began, "began": began, "rounds": ends, **scores}


if __name__ == "__main__":
    given = json.load(sys.stdin)
    print(json.dumps(main(given["lithops"], given["task"])))
