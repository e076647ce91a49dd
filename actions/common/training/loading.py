"""A `.keras` file as a compiled model that takes batches of any length; used by the learner, imports TensorFlow."""

import importlib
import json
import tempfile
import warnings
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np

from common.errors import ModelError
from common.plan import plugins
from common.plan.keras_config import parts
from common.storage.state import within
from common.training.causes import sentence
from common.training.variables import optimizers

# What Keras and h5py raise over a file that is not as they wrote it: it may break them anywhere.
UNLOADABLE = (
    *(ValueError, TypeError, OSError, LookupError, AttributeError, NameError),
    *(RuntimeError, AssertionError, ArithmeticError, zipfile.BadZipFile),
)


def load(path: Path, example: Sequence[int] | None) -> tuple[Any, bool]:
    """Load a model, and return it and whether it had been built.

    One that had not is built for examples of this shape, always with the same weights.
    """
    register_plugins()
    # Names of seed generators and some slots are numbered a process; a state must not depend on what ran before.
    keras.utils.clear_session()
    keras.utils.set_random_seed(0)  # layers draw their seeds when they are made; every lane must draw the same
    try:
        with tempfile.TemporaryDirectory() as folder, zipfile.ZipFile(path) as file, warnings.catch_warnings():
            # A model saved before its first step has no slots: they start at zero.
            warnings.filterwarnings("ignore", "Skipping variable loading for optimizer")
            file.extractall(folder)  # from the file itself, Keras holds all weights in memory twice
            free_batch(Path(folder) / "config.json")
            model = keras.models.load_model(folder, safe_mode=True)
    except UNLOADABLE as error:
        raise ModelError(f"model: Keras cannot load it: {cause(error)}") from error
    if not getattr(model, "compiled", False) or model.optimizer is None:
        raise ModelError("model: got no compile configuration, expected a model saved after model.compile()")
    built = bool(model.built)
    if not built:
        build(model, example)
    for optimizer in optimizers(model):
        begin(optimizer)
    check_finite(model)
    if not model.trainable_variables:
        raise ModelError("model: got no trainable weights, expected at least one")
    return model, built


def register_plugins() -> None:
    """Import the deployment's plugins, which register their classes at Keras; ModelError where the image lacks one."""
    for name in plugins.known().modules:
        try:
            importlib.import_module(name)
        except ImportError as error:
            expected = "expected an image with what it needs, as .venv-tensorflow has it"
            raise ModelError(f"DL_PLUGINS: the trainer cannot import {name}: {error}, {expected}") from error


def replace_optimizer(model: Any, optimizer: dict[str, Any]) -> None:
    """Compile a model with another optimizer, as Keras serializes it, which begins anew."""
    try:
        model.compile_from_config({**model.get_compile_config(), "optimizer": optimizer})
    except UNLOADABLE as error:
        raise ModelError(f"optimizer: Keras cannot make {optimizer['class_name']}: {sentence(error)}") from error
    for one in optimizers(model):
        begin(one)


def cause(error: Exception) -> str:
    """Return why a model cannot be loaded."""
    if isinstance(error, NameError):  # Keras' own, where it cannot open the weights
        return "model.weights.h5 is damaged, expected it as model.save wrote it"
    if "could not be loaded" in str(error):
        return "model.weights.h5 holds other weights than config.json says, expected both as model.save wrote them"
    return sentence(error)


def check_finite(model: Any) -> None:
    """Refuse weights that cannot be trained on: every loss would be NaN, and a lower learning rate no help."""
    for variable in model.weights:
        values = np.asarray(variable.value.read_value())
        if values.dtype.kind == "f" and not within(values, float(np.finfo(values.dtype).max)):
            raise ModelError(f"model: weight {variable.path} holds NaN or infinity, expected finite numbers")


def begin(optimizer: Any) -> None:
    """Let a schedule-free optimizer step from the model's weights: Keras takes them before it loads them."""
    if isinstance(optimizer, keras.optimizers.ScheduleFreeAdamW) and not int(optimizer.iterations):
        for stepped, weight in zip(optimizer._momentums, optimizer._trainable_variables, strict=True):
            stepped.assign(weight)


def free_batch(config: Path) -> None:
    """Let the inputs take batches of any length: a shard's last batch has its own, and so have an evaluation's."""
    held = json.loads(config.read_text())
    for part in inputs(held):
        for name in ("batch_shape", "batch_input_shape"):
            if part.get(name):
                part[name] = [None, *part[name][1:]]
    config.write_text(json.dumps(held))


def number_shared(config: Path) -> None:
    """Number the objects that a configuration holds more than once; Keras writes where they lay in memory."""
    held, numbers = json.loads(config.read_text()), dict[int, int]()
    for part in parts(held):
        if "shared_object_id" in part:
            part["shared_object_id"] = numbers.setdefault(part["shared_object_id"], len(numbers))
    config.write_text(json.dumps(held))


def inputs(config: Any) -> Iterator[dict[str, Any]]:
    """Yield the configurations of a model's input layers, nested models' too."""
    yield from (part["config"] for part in parts(config) if part.get("class_name") == "InputLayer")


def build(model: Any, example: Sequence[int] | None) -> None:
    """Make the weights of a model that was saved before it saw its first batch, which plain Keras draws by chance."""
    if example is None:
        raise ModelError("model: got a model that was never built, expected one with keras.Input as its first layer")
    try:
        model.build((None, *example))
    except (ValueError, TypeError, NotImplementedError, RuntimeError) as error:
        raise ModelError(f"model: cannot be built for examples of shape {tuple(example)}: {sentence(error)}") from error
    model.optimizer.build(model.trainable_variables)
