"""What a warm container keeps between slices: the last shards on disk and one compiled learner; used by the trainer."""

import contextlib
import hashlib
import json
import shutil
import tempfile
import threading
import time
import weakref
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from common.errors import ModelError, TransferError
from common.storage import state, transfer
from common.training.causes import ValuesError
from common.training.lane import MARGIN_SECONDS
from common.training.memory import PeakMemory, give_back, private_bytes
from common.training.model import Data, Learner, count

KEPT_BYTES = 64 << 20  # what TensorFlow may keep of pools and caches: 15 MB after one small model, 28 after six


class Arrays:
    """The last `limit` downloaded sets of arrays, mapped from disk."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._folder = Path(tempfile.mkdtemp(prefix="arrays-"))
        weakref.finalize(self, shutil.rmtree, self._folder, ignore_errors=True)
        self._etags: dict[str, dict[str, str]] = {}  # key -> array -> etag; the oldest key first
        self._lock = threading.Lock()

    def open(self, key: str, urls: dict[str, str]) -> dict[str, NDArray[Any]]:
        """Map the arrays of a key; an array that is here already is downloaded again only when the store's differs."""
        with self._lock:
            return self._open(key, urls)

    def fetch_ahead(self, wanted: dict[str, str]) -> None:
        """Download a set in the background, `shard` its key, the others URLs; who opens it meets its failure."""
        urls = {name: url for name, url in wanted.items() if name != "shard"}
        threading.Thread(target=self._try, args=(wanted["shard"], urls), daemon=True).start()

    def _try(self, key: str, urls: dict[str, str]) -> None:
        with contextlib.suppress(TransferError):
            self.open(key, urls)

    def _open(self, key: str, urls: dict[str, str]) -> dict[str, NDArray[Any]]:
        known = self._etags.pop(key, {})
        while len(self._etags) >= self.limit:
            shutil.rmtree(self._path(next(iter(self._etags))))
            del self._etags[next(iter(self._etags))]
        folder = self._path(key)
        folder.mkdir(exist_ok=True)
        files = {name: folder / f"{name}.npy" for name in urls}
        self._etags[key] = known
        for name, url in urls.items():
            known[name] = transfer.fetch(url, files[name], known.get(name))
        return {name: np.load(file, mmap_mode="r") for name, file in files.items()}

    def _path(self, key: str) -> Path:
        return self._folder / hashlib.sha256(key.encode()).hexdigest()


def as_data(arrays: Mapping[str, NDArray[Any]], params: Mapping[str, Any]) -> Data:
    """Return a set's arrays as the learner takes them: inputs, labels and, where there are some, weights.

    Of a slice's parameters, `inputs` is {input of the model: its array's name}, None where it has one, and `outputs`
    lists each output and the name of its labels' array, which is None where it has none.
    """
    inputs, outputs = params["inputs"], params["outputs"]
    x = {name: arrays[stored] for name, stored in inputs.items()} if inputs else arrays["x"]
    y = {name: arrays[stored] if stored else unread(arrays) for name, stored in outputs} if outputs else arrays["y"]
    return (x, y, arrays["weight"]) if "weight" in arrays else (x, y)


def unread(arrays: Mapping[str, NDArray[Any]]) -> NDArray[Any]:
    """Return labels `(examples,)` of an output without a loss: where it is given none, Keras mixes up the others."""
    return np.broadcast_to(np.float32(0), (len(next(iter(arrays.values()))),))


@dataclass(frozen=True)
class Which:
    """A model's file, and what it is compiled with instead of its own: a rate, an optimizer as Keras serializes it."""

    sha256: str
    learning_rate: float | None = None
    optimizer: str | None = None  # JSON

    @classmethod
    def of(cls, params: Mapping[str, Any]) -> Self:
        """Return what a slice asks for."""
        optimizer = params["optimizer"] and json.dumps(params["optimizer"], sort_keys=True)
        return cls(params["model_sha256"], params["learning_rate"], optimizer)


class Learners:
    """The last compiled learner: tracing its graph again would cost more than a second."""

    def __init__(self) -> None:
        self._key: Which | None = None
        self._learner: Learner | None = None
        self._trained = False
        self._new = private_bytes()  # before the first model
        self._measured: tuple[Any, dict[str, float]] = None, {}  # which model and batch took how long

    def knows(self, which: Which, example: list[int] | None = None) -> bool:
        """Return whether the learner is this one, and takes examples of this shape."""
        built_for = self._learner and self._learner.built_for
        return self._key == which and (built_for is None or built_for == example)

    def take(self, url: str, which: Which, initial: bool, example: list[int] | None = None) -> Learner:
        """Return the learner of a model to train it; with `initial`, in its file's own state.

        `example` is an example's shape, which a model needs that was saved before it was built.
        """
        if self._learner is None or not self.knows(which, example) or (initial and self._trained):
            self.load(url, which, example)
        assert self._learner is not None
        self._trained = True
        return self._learner

    def load(self, url: str, which: Which, example: list[int] | None = None) -> Learner:
        """Load a learner, in its file's own state."""
        self.forget()  # before the next one takes memory
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "initial.keras"
            transfer.fetch(url, path)
            got = hashlib.sha256(path.read_bytes()).hexdigest()
            if got != which.sha256:
                raise ModelError(f"model: got a file of sha256 {got}, expected {which.sha256} as in the plan")
            optimizer = json.loads(which.optimizer) if which.optimizer else None
            self._learner = Learner(path, which.learning_rate, example, optimizer)
        self._key, self._trained = which, False
        return self._learner

    def forget(self) -> None:
        """Give back what the learner holds."""
        if self._learner is not None:
            self._key = self._learner = None
            give_back()

    def as_new(self) -> bool:
        """Give back what is held, and return whether this process then is as good as a new one, by its memory."""
        self.forget()
        return private_bytes() - self._new < KEPT_BYTES

    def prepare(self, params: dict[str, Any]) -> dict[str, float]:
        """Load a learner unless it is known, and take steps on zeros: one traces its graph, one is timed.

        `batch` holds shape `(examples, ...)` and dtype of each array. Its state stays the file's. Returns the seconds.
        """
        which, batch = Which.of(params), params["batch"]
        example = None if params["inputs"] else batch["x"]["shape"][1:]
        known, (timed, measured) = self.knows(which, example), self._measured
        if known and timed == (which, batch):
            return {"trace_seconds": 0.0, **measured}
        trained = known and self._trained
        learner = self.take(params["get"]["model"], which, False, example)  # trained until its state is restored
        zeros = {name: np.zeros(array["shape"], array["dtype"]) for name, array in batch.items()}
        seconds = steps_on_zeros(learner, as_data(zeros, params), params["micro"])
        self._trained = trained
        measured = {"step_seconds": seconds[1]} if len(seconds) > 1 else {}
        self._measured = (which, batch), measured
        return {"trace_seconds": seconds[0] if seconds else 0.0, **measured}

    def warm_up(self, params: dict[str, Any]) -> dict[str, Any]:
        """Do a slice of the warm-up, and say so in the store."""
        began = time.time()
        place = {"run": params["run"], "lane": params["lane"]}
        if began > params["deadline"] - MARGIN_SECONDS:
            return {"late": True, **place}
        with PeakMemory() as peak:
            measured = self.prepare(params)
        spent = {**place, "seconds": time.time() - began, **measured, "memory": peak.bytes}
        transfer.put_json(params["put"], spent)
        return spent


def steps_on_zeros(learner: Learner, zeros: Data, micro: int | None = None) -> list[float]:
    """Take two steps, of which the first traces the graph, and restore the state; return their seconds.

    ModelError where no batch of these shapes can be taken; fewer seconds where it may be for the zeros.
    """
    examples = count(zeros)
    seconds: list[float] = []
    with tempfile.TemporaryDirectory() as folder:
        initial = Path(folder) / "initial.safetensors"  # on the disk: memory holds one state, not two
        state.save(initial, learner.export_state(), {})
        with contextlib.suppress(ValuesError):
            for _ in range(2):
                began = time.monotonic()
                learner.train(zeros, np.arange(examples), np.array([0, examples]), 0, 1, micro)
                seconds.append(time.monotonic() - began)
        learner.import_state(state.load(initial)[0])
    return seconds
