"""A `.keras` file read without TensorFlow: what the planner must know of a model before anything is started."""

import json
import mmap
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from common.data import formats
from common.data.archive import UNREADABLE, Bounded, cause, open_zip
from common.errors import ModelError
from common.plan import compiled
from common.plan.keras_config import Config, called, mapping, parts, refuse_code, word
from common.plan.keras_inputs import ModelInput, Shape, ends, fits, inputs, layers, shape_of

MODELS = ("Sequential", "Functional", "Model")
CONFIG_BYTES = 4 << 20  # of JSON, which takes up to 24 times as much in memory; 1,000 layers are half of one
BUFFER_BYTES = 1 << 16
# losses that compare each output with a label of its own; the first ones never repeat one for several
CROSSENTROPIES = ("binary_crossentropy", "binary_focal_crossentropy", "categorical_crossentropy")
ERRORS = (
    *("mean_squared_error", "mean_absolute_error", "mean_absolute_percentage_error", "mean_squared_logarithmic_error"),
    *("huber", "log_cosh", "poisson", "kl_divergence", "hinge", "squared_hinge", "cosine_similarity"),
)


@dataclass(frozen=True)
class KerasFile:
    """What a model takes and gives: inputs, units of the last Dense, loss, accuracy or not.

    `means` says that all its metrics are means over examples, `label_shape` what the last Dense gives without batch and
    units: `()` for one label an example, `(steps,)` for one a step, `rates` the schedule of its learning rate, if any.
    """

    inputs: tuple[ModelInput, ...]
    classes: int | None
    loss: str
    accuracy: bool = False
    means: bool = False
    label_shape: Shape | None = None
    rates: str | None = None

    def for_labels(self, shape: tuple[int, ...]) -> "KerasFile":
        """Return the file with the loss that `crossentropy` stands for, by the shape of labels without the batch."""
        if self.loss != compiled.CROSSENTROPY or self.classes is None or self.label_shape is None:
            return self
        sparse = len(shape) <= len(self.label_shape) or shape[-1] == 1
        kind = "binary" if self.classes == 1 else "sparse_categorical" if sparse else "categorical"
        return replace(self, loss=f"{kind}_crossentropy")

    @property
    def sparse(self) -> bool:
        """Whether labels are class numbers."""
        return self.loss.startswith("sparse_categorical")

    def check_inputs(self, shapes: Sequence[tuple[int, ...]]) -> None:
        """Refuse examples, a shape an input, that the model does not take."""
        for one, shape in zip(self.inputs, shapes, strict=True):
            one.check(shape, f"input {word(one.name)}" if len(self.inputs) > 1 else "input")

    def check_labels(self, shape: tuple[int, ...]) -> None:
        """Refuse labels of a shape, without the batch, that the loss cannot take; Keras drops a last axis of 1."""
        expected = self.label_shape
        if expected is None:
            return
        if self.sparse and not (fits(shape, expected) or fits(shape, (*expected, 1))):
            raise ModelError(f"model: loss {self.loss}, expected class numbers of shape {expected}, got shape {shape}")
        wanted = (*expected, self.classes)
        repeated = self.loss in ERRORS
        if (repeated or self.loss in CROSSENTROPIES) and self.classes and not comparable(shape, wanted, repeated):
            raise ModelError(f"model: loss {self.loss}, expected labels of shape {wanted}, got {shape}")


def comparable(shape: tuple[int, ...], wanted: Shape, repeated: bool) -> bool:
    """Return whether Keras compares labels with outputs of a shape: a last axis of 1 comes and goes, 1 is `repeated`.

    Origin: keras.losses.loss.squeeze_or_expand_to_same_rank.
    """
    if len(shape) == len(wanted) + 1 and shape[-1] == 1:
        shape = shape[:-1]
    if len(wanted) == len(shape) + 1 and wanted[-1] == 1:
        shape = (*shape, 1)
    pairs = list(zip(shape, wanted, strict=False))
    return len(shape) == len(wanted) and all(w in (None, s) or (repeated and 1 in (s, w)) for s, w in pairs)


def read(path: Path, at: str) -> KerasFile:
    """Read a `.keras` file's configuration; ModelError, naming its address, when it cannot be trained here."""
    try:
        with Bounded(path.open("rb", buffering=0), BUFFER_BYTES) as raw, open_zip(raw) as file:
            if advice := formats.of_model_members(file.namelist()):
                raise ModelError(f"model: {at}: {advice}")
            config = json.loads(read_config(file))
            file.getinfo("model.weights.h5")
    except (*UNREADABLE, RecursionError) as error:
        advice = formats.of_model(first_bytes(path), at, holds(path, b"model_config"))
        generic = f"got no .keras file at {at} ({cause(error)}), expected one of keras.Model.save"
        raise ModelError(f"model: {at}: {advice}" if advice else f"model: {generic}") from None
    return describe(config)


def read_config(file: zipfile.ZipFile) -> bytes:
    """Return a model's configuration; ValueError for more than a planner can hold."""
    with file.open("config.json") as config:
        text = config.read(CONFIG_BYTES + 1)
    if len(text) > CONFIG_BYTES:
        raise ValueError(f"a config.json above {CONFIG_BYTES >> 20} MB")
    return text


def first_bytes(path: Path) -> bytes:
    """Return what a file begins with."""
    with path.open("rb") as file:
        return file.read(formats.HEAD_BYTES)


def holds(path: Path, text: bytes) -> bool:
    """Return whether some bytes are anywhere in a file."""
    with path.open("rb") as file:
        if path.stat().st_size == 0:
            return False
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            return data.find(text) >= 0


def describe(config: Any) -> KerasFile:
    """Return what a model's configuration says; ModelError when it cannot be trained here."""
    held = mapping(config)
    if held.get("class_name") not in MODELS or not isinstance(held.get("config"), dict):
        got = called(held) if held else type(config).__name__
        raise ModelError(f"model: got class {got}, expected a Sequential or Functional model")
    refuse_code({name: value for name, value in held.items() if name != "compile_config"})
    refuse_stateful(held)
    sequential = held["class_name"] == "Sequential"
    outputs = ends(held, "output_layers")
    if len(outputs) > 1:
        raise ModelError(f"model: got {len(outputs)} outputs, expected one")
    found = compiled.read(held.get("compile_config"), None if sequential else sorted(outputs))
    last = last_dense(held, set(outputs.values()))
    units = mapping(last.get("config")).get("units")
    classes = units if isinstance(units, int) and not found.any_class else None
    return KerasFile(inputs(held), classes, found.loss, found.accuracy, found.means, label_shape(last), found.rates)


def refuse_stateful(config: Config) -> None:
    """Refuse layers that carry a state from batch to batch: the batches of lanes do not follow each other."""
    for part in parts(config):
        if mapping(part.get("config")).get("stateful") is True:
            name = word(part["config"].get("name"))
            raise ModelError(f"model: layer {name} is stateful, expected stateful=False, as batches are shuffled")


def last_dense(config: Config, wanted: set[str]) -> Config:
    """Return the Dense layer that gives the output, nothing where another kind of layer does."""
    given = [layer for layer in layers(config) if not wanted or str(layer["config"].get("name")) in wanted]
    shaped = [layer for layer in given if layer.get("class_name") not in ("Activation", "Softmax", "Dropout")]
    return shaped[-1] if shaped and shaped[-1].get("class_name") == "Dense" else {}


def label_shape(dense: Config) -> Shape | None:
    """Return what a Dense layer gives without batch and units, None where the file does not say."""
    built = shape_of(mapping(dense.get("build_config")).get("input_shape"), batched=True)
    return built[:-1] if built else None
