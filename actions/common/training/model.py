"""A Keras model that learns and is evaluated batch by batch inside the graph.

Used by the trainer; variables.py names its variables. The arithmetic is Keras' own train_step and test_step: one
lane that trains alone gives the weights and slots of plain Keras on the same batches. What differs is the loop: one
traced graph call takes many batches, so that small batches cost no more a sample than large ones, and memory does not
grow with the data.
"""

import json
import shutil
import tempfile
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray
from tensorflow.python.framework import ops

from common.errors import DlError, ModelError
from common.plan.schedule import EVALUATION_BATCH
from common.storage.state import Tensors
from common.training import causes, loading, outputs, variables
from common.training.memory import trim

Array = NDArray[Any]
# Inputs, labels and, where there are some, sample weights: arrays, or arrays by the names of inputs and outputs.
Data = tuple[Any, ...]
Sums = dict[str, list[float]]  # name -> [total, count]; the quotient is Keras' mean

BLOCK_BYTES = 4 << 20  # gathered and handed to the graph at once
ADVICE = "try a lower learning_rate"
# What Keras and TensorFlow raise where a model does not fit a batch, or needs an op that this processor lacks.
UNFIT = (
    *(ValueError, TypeError, LookupError, AttributeError, NotImplementedError, AssertionError, ArithmeticError),
    *(tf.errors.InvalidArgumentError, tf.errors.UnimplementedError, tf.errors.NotFoundError),
    *(tf.errors.FailedPreconditionError, tf.errors.OutOfRangeError),
)

# The number of threads decides the order of additions, and so the bits; a lane has about one core anyway.
tf.config.threading.set_intra_op_parallelism_threads(1)
tf.config.threading.set_inter_op_parallelism_threads(1)
tf.config.experimental.enable_op_determinism()


class Learner:
    """A compiled model of a `.keras` file: state in and out as named tensors, training, evaluation."""

    def __init__(
        self,
        path: Path,
        learning_rate: float | None = None,
        example: Sequence[int] | None = None,
        optimizer: dict[str, Any] | None = None,
    ) -> None:
        self.model, built = loading.load(path, example)
        self.built_for = None if built else example  # the only shape it takes, where its file says none
        if optimizer is not None:
            loading.replace_optimizer(self.model, optimizer)
        if learning_rate is not None:
            _set_learning_rate(self.model, learning_rate)
        self._variables = variables.named(self.model)
        self.rules = variables.rules(self.model, self._variables)
        self._moving = variables.moving(self.model, self._variables)
        self.decays = {name: moving.decay for moving in self._moving for name in moving.names}
        self._built = False
        self._graphs: dict[str, Any] = {}

    def export_state(self) -> Tensors:
        """All variables that training changes, by name; views, which stay as they are when training goes on.

        TensorFlow copies what is still read before it writes to it.
        """
        return {name: np.asarray(variable.value.read_value()) for name, variable in self._variables.items()}

    def import_state(self, tensors: Tensors) -> None:
        """Set all variables; the names must be exactly the ones of export_state."""
        if tensors.keys() != self._variables.keys():
            odd = sorted(tensors.keys() ^ self._variables.keys())
            raise ModelError(f"state: got {len(tensors)} tensors that differ from the model's in {odd[0]}")
        trim()  # what the last step took: a state's copies come on top
        for name, variable in self._variables.items():
            if tensors[name].shape != tuple(variable.shape):
                raise ModelError(f"state: {name}: got {tensors[name].shape}, expected {tuple(variable.shape)}")
            variable.assign(tensors[name])

    def project(self) -> None:
        """Make weights that were averaged keep what their layers promise: constraints, above all."""
        variables.project(self.model)

    def set_rate(self, rate: float) -> None:
        """Go on at another learning rate."""
        self.model.optimizer.learning_rate = rate

    def set_seeds(self, seed: int, round_: int, lane: int) -> None:
        """Restart every seed generator (dropout, augmentation) as a function of the lane's place alone."""
        for index, variable in enumerate(self._seeds()):
            word = np.random.SeedSequence([seed, round_, lane, index]).generate_state(1)[0]
            variable.assign([int(word) & 0x7FFFFFFF, 0])

    def train(self, data: Data, order: Array, bounds: Array, first: int, last: int, micro: int | None = None) -> Sums:
        """Train on batches first..last-1 of the order; with `micro`, in pieces whose gradients are accumulated.

        Returns the sums of the loss and of every metric that is a mean over examples.
        """
        totals: Sums = {}
        data = self._arranged(data)
        self._build(data)
        for moving in self._moving:
            moving.count.assign(0)
        for start, stop in _blocks(data, bounds, first, last):
            rows = order[bounds[start] : bounds[stop]]
            self.model.reset_metrics()
            self._run(
                "micro" if micro else "train", rows_of(data, rows), bounds[start : stop + 1] - bounds[start], micro
            )
            for name, (total, count) in self.sums().items():
                before = totals.get(name, [0.0, 0.0])
                totals[name] = [before[0] + total, before[1] + count]
        return totals

    def updates(self) -> dict[str, int]:
        """How often the last call of `train` moved each tensor that moves by a decay an update."""
        return {name: int(moving.count.numpy()) for moving in self._moving for name in moving.names}

    def sums(self) -> Sums:
        """Sums of the loss and of every metric that is a mean over examples, since the metrics' last reset."""
        return {name: [float(mean.total.numpy()), float(mean.count.numpy())] for name, mean in self._means.items()}

    def evaluate(self, data: Data, place: str, order: Array | None = None) -> dict[str, Any]:
        """Loss and every compiled metric over all examples, or those of an order, as Model.evaluate gives them.

        A loss that is no number is an error, which names the `place`; a metric that is none gives None.
        """
        examples = count(data) if order is None else len(order)
        bounds = np.append(np.arange(0, examples, EVALUATION_BATCH), examples)
        data = self._arranged(data)
        self._build(data)
        self.model.reset_metrics()
        for start, stop in _blocks(data, bounds, 0, len(bounds) - 1):
            rows: Any = slice(bounds[start], bounds[stop])
            rows = rows if order is None else order[rows]
            self._run("test", rows_of(data, rows), bounds[start : stop + 1] - bounds[start], None)
        results = {name: np.asarray(value) for name, value in self.model.get_metrics_result().items()}
        if not np.isfinite(results["loss"]):
            raise ModelError(f"{place}: loss became {results['loss']}, expected a finite number; {ADVICE}")
        return {name: value.tolist() if np.isfinite(value).all() else None for name, value in results.items()}

    @property
    def finishes(self) -> bool:
        """Whether the end of training changes the weights: some optimizer keeps moving averages of them."""
        return any(optimizer.use_ema for optimizer in variables.optimizers(self.model))

    def finish(self) -> None:
        """Do what Model.fit does at its end: weights become their moving averages where the optimizer keeps some."""
        self.model.optimizer.finalize_variable_values(self.model.trainable_variables)

    def save(self, path: Path) -> None:
        """Write a `.keras` file that plain Keras loads, optimizer state included.

        By way of a folder: into a file, Keras holds all weights in memory twice. The same model gives the same bytes:
        no times are kept, neither the parts' nor when it was saved, and no addresses.
        """
        trim()
        with tempfile.TemporaryDirectory() as folder, zipfile.ZipFile(path, "w") as file:
            self.model.save(folder, zipped=False)
            about = Path(folder) / "metadata.json"
            about.write_text(json.dumps({"keras_version": keras.__version__}))
            loading.number_shared(Path(folder) / "config.json")
            for part in sorted(part for part in Path(folder).rglob("*") if part.is_file()):
                name = zipfile.ZipInfo(str(part.relative_to(folder)))
                name.file_size = part.stat().st_size  # or the format has no room for 4 GB
                with part.open("rb") as source, file.open(name, "w") as target:
                    shutil.copyfileobj(source, target)

    def _arranged(self, data: Data) -> Data:
        x, y, *weights = data
        return (x, outputs.arranged(self.model, y), *weights)

    def _run(self, kind: str, data: Data, bounds: Array, micro: int | None) -> None:
        data = _as_keras(data)
        key = f"{kind} {_described(data)}"
        with _one_sentence("a batch that"):
            if key not in self._graphs:
                self._graphs[key] = _graph(self._step(kind), data)
            self._graphs[key](data, bounds, micro or 0)

    def _step(self, kind: str) -> Callable[..., None]:
        steps: dict[str, Callable[..., None]] = {
            "train": lambda data, _: self.model.train_step(data),
            "test": lambda data, _: self.model.test_step(data),
            "micro": lambda data, micro: _accumulating_step(self.model, data, micro),
        }
        return steps[kind]

    def _build(self, data: Data) -> None:
        # Losses and metrics build themselves at their first call, which must not be inside the loop of a graph.
        if self._built:
            return
        one = _as_keras(rows_of(data, slice(1)))
        x, y, weights = keras.utils.unpack_x_y_sample_weight(one)
        seeds = [variable.numpy() for variable in self._seeds()]
        with _one_sentence(f"{_described(one)}, which"):
            predicted = self.model(x, training=False)
            self.model.compute_loss(x, y, predicted, weights, training=False)
            self.model.compute_metrics(x, y, predicted, weights)
        for variable, value in zip(
            self._seeds(), seeds, strict=True
        ):  # recurrent layers draw masks even where they drop nothing
            variable.assign(value)
        self._built = True

    def _seeds(self) -> list[Any]:
        return [variable for name, variable in self._variables.items() if name.startswith("seed.")]

    @cached_property  # asked for after the first batch, when Keras has built and named them
    def _means(self) -> dict[str, Any]:
        # A subclass with a result of its own (a root of the mean) is no quotient of its sums.
        mean, metrics = keras.metrics.Mean, outputs.metrics(self.model).items()
        return {name: one for name, one in metrics if isinstance(one, mean) and type(one).result is mean.result}


@contextmanager
def _one_sentence(what: str) -> Iterator[None]:
    """Let what Keras or TensorFlow raises be told in one sentence; ModelError where trying again cannot mend it."""
    try:
        yield
    except tf.errors.ResourceExhaustedError as error:
        raise MemoryError(causes.sentence(error)) from error
    except UNFIT as error:
        values = isinstance(error, tf.errors.OpError) and causes.of_values(error)
        fault = causes.ValuesError if values else ModelError
        raise fault(f"model: got {what} it cannot take: {causes.sentence(error)}") from error
    except tf.errors.OpError as error:
        raise DlError(f"TensorFlow failed: {causes.sentence(error)}") from error


def _set_learning_rate(model: Any, rate: float) -> None:
    """Compile again with a fixed rate, which also replaces a schedule; other optimizer variables stay."""
    kept = [variable.numpy() for variable in model.optimizer.variables if variable.name != "learning_rate"]
    config = model.get_compile_config()
    settings = config["optimizer"]["config"]
    if "inner_optimizer" in settings:  # of a LossScaleOptimizer
        settings = settings["inner_optimizer"]["config"]
    settings["learning_rate"] = rate
    model.compile_from_config(config)
    others = [variable for variable in model.optimizer.variables if variable.name != "learning_rate"]
    for variable, value in zip(others, kept, strict=True):
        variable.assign(value)


def _blocks(data: Data, bounds: Array, first: int, last: int) -> Iterator[tuple[int, int]]:
    """Yield batch ranges whose examples fit BLOCK_BYTES (one batch at least)."""
    arrays = keras.tree.flatten(data)
    example = sum(array.nbytes for array in arrays) // len(arrays[0])
    largest = int(np.diff(bounds).max()) * example
    count = max(1, BLOCK_BYTES // max(1, largest))
    for start in range(first, last, count):
        yield start, min(start + count, last)


def _as_keras(data: Data) -> Data:
    """Floats in Keras' own width, as fit converts them; integers stay narrow until the graph."""
    width = keras.config.floatx()
    narrowed = keras.tree.map_structure(
        lambda one: one.astype(width, copy=False) if one.dtype.kind == "f" else one, data
    )
    return tuple(narrowed)


def count(data: Data) -> int:
    """How many examples there are, in every array as many."""
    return len(keras.tree.flatten(data)[0])


def rows_of(data: Any, rows: Any) -> Any:
    """The rows of every array, by number or as a slice."""
    return keras.tree.map_structure(lambda array: array[rows], data)


def _described(data: Data) -> str:
    """The types and shapes of inputs, labels and weights, as a sentence has them."""
    named = zip(("x", "y", "weights"), data, strict=False)
    parts = [f"{name} {array.dtype}{array.shape[1:]}" for name, part in named for array in keras.tree.flatten(part)]
    return " and ".join(parts)


def _graph(step: Callable[..., None], data: Data) -> Any:
    """One graph that runs `step` on every batch of a block, of whatever length and number."""

    def run(data: Any, bounds: Any, micro: Any) -> None:
        def body(i: Any) -> Any:
            step(rows_of(data, slice(bounds[i], bounds[i + 1])), micro)
            return (i + 1,)

        tf.while_loop(lambda i: i < tf.size(bounds) - 1, body, (tf.constant(0),), parallel_iterations=1)

    arrays = keras.tree.map_structure(lambda array: tf.TensorSpec((None, *array.shape[1:]), array.dtype), data)
    signature = [arrays, tf.TensorSpec((None,), tf.int64), tf.TensorSpec((), tf.int64)]
    graph = tf.function(run, input_signature=signature, autograph=False)
    try:
        graph.get_concrete_function()  # traces it
    finally:
        _forget_gradients()
    return graph


def _forget_gradients() -> None:
    """Drop what TensorFlow keeps for ever of each custom gradient it traced, and by it graph, variables and slots.

    Keras' optimizers trace one to add up replicas' gradients, and so do layers (silu). Traced graphs need them no more.
    """
    registry = ops.gradient_registry._registry
    for name in [name for name in registry if name.startswith("CustomGradient-")]:
        del registry[name]


def _accumulating_step(model: Any, data: Data, micro: Any) -> None:
    """Keras' train_step in pieces of `micro` examples: the batch's gradient is the mean weighted by their sizes."""
    weights = model.trainable_variables
    size = tf.shape(keras.tree.flatten(data)[0], tf.int64)[0]

    def body(start: Any, sums: Any) -> Any:
        stop = tf.minimum(start + micro, size)
        part, labels, ones = keras.utils.unpack_x_y_sample_weight(rows_of(data, slice(start, stop)))
        with tf.GradientTape() as tape:
            predicted = model(part, training=True)
            loss = model.compute_loss(part, labels, predicted, ones, training=True)
            share = tf.cast(stop - start, loss.dtype) / tf.cast(size, loss.dtype)
            scaled = model.optimizer.scale_loss(loss * share)
        model.metrics[0].update_state(loss, sample_weight=stop - start)  # the loss tracker
        model.compute_metrics(part, labels, predicted, ones)
        gradients = tape.gradient(scaled, weights, unconnected_gradients=tf.UnconnectedGradients.ZERO)
        return stop, [total + gradient for total, gradient in zip(sums, gradients, strict=True)]

    zeros = [tf.zeros(weight.shape, weight.dtype) for weight in weights]
    start = tf.constant(0, tf.int64)
    _, sums = tf.while_loop(lambda start, _: start < size, body, (start, zeros), parallel_iterations=1)
    model.optimizer.apply_gradients(zip(sums, weights, strict=True))
