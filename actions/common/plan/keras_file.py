"""A `.keras` file read without TensorFlow: what the planner must know of a model before anything is started."""

import json
import mmap
import zipfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from common.data import formats
from common.data.archive import UNREADABLE, Bounded, cause, open_zip
from common.errors import ModelError
from common.plan import compiled
from common.plan.keras_config import Config, called, listing, mapping, parts, refuse_code, word

Shape = tuple[int | None, ...]  # without the batch; None stands for any length
MODELS = ("Sequential", "Functional", "Model")
CONFIG_BYTES = 4 << 20  # of JSON, which takes up to 24 times as much in memory; 1,000 layers are half of one
BUFFER_BYTES = 1 << 16
# how a configuration spells the shape that an input takes, and whether the batch is in it
SPELLINGS = (("batch_shape", True), ("batch_input_shape", True), ("shape", False), ("input_shape", False))
# losses that compare each output with a label of its own; the first ones never repeat one for several
CROSSENTROPIES = ("binary_crossentropy", "binary_focal_crossentropy", "categorical_crossentropy")
ERRORS = (
    *("mean_squared_error", "mean_absolute_error", "mean_absolute_percentage_error", "mean_squared_logarithmic_error"),
    *("huber", "log_cosh", "poisson", "kl_divergence", "hinge", "squared_hinge", "cosine_similarity"),
)


@dataclass(frozen=True)
class KerasFile:
    """What a model takes and gives: input shape without the batch, units of the last Dense, loss, accuracy or not.

    `means` says that all its metrics are means over examples, `label_shape` what the last Dense gives without batch and
    units: `()` for one label an example, `(steps,)` for one a step, `rates` the schedule of its learning rate, if any.
    """

    input_shape: Shape | None
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

    def check_inputs(self, shape: tuple[int, ...]) -> None:
        """Refuse examples of a shape that the model does not take; Keras adds or drops a last axis of 1."""
        if self.input_shape is None:
            return
        variants = [shape, (*shape, 1)] + ([shape[:-1]] if shape[-1:] == (1,) else [])
        if not any(fits(variant, self.input_shape) for variant in variants):
            raise ModelError(f"model: its input is {self.input_shape}, expected {shape} as in the dataset")

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


def fits(shape: tuple[int, ...], expected: Shape) -> bool:
    """Return whether a shape is the expected one."""
    return len(shape) == len(expected) and all(e in (None, s) for s, e in zip(shape, expected, strict=True))


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
    found = compiled.read(held.get("compile_config"), None if sequential else sorted(outputs))
    shape, last = input_shape(held), last_dense(held, set(outputs.values()))
    units = mapping(last.get("config")).get("units")
    classes = units if isinstance(units, int) and not found.any_class else None
    return KerasFile(shape, classes, found.loss, found.accuracy, found.means, label_shape(last), found.rates)


def refuse_stateful(config: Config) -> None:
    """Refuse layers that carry a state from batch to batch: the batches of lanes do not follow each other."""
    for part in parts(config):
        if mapping(part.get("config")).get("stateful") is True:
            name = word(part["config"].get("name"))
            raise ModelError(f"model: layer {name} is stateful, expected stateful=False, as batches are shuffled")


def layers(config: Config) -> list[Config]:
    """Return a model's layers, each with a configuration."""
    held = [mapping(layer) for layer in listing(config["config"].get("layers"))]
    return [layer for layer in held if isinstance(layer.get("config"), dict)]


def ends(config: Config, side: str) -> dict[str, str]:
    """Return {name: layer} of a Functional model's `input_layers` or `output_layers`; ModelError for more than one."""
    found = config["config"].get(side)
    if isinstance(found, dict):
        named = found
    else:
        references = [found] if listing(found)[:1] and isinstance(found[0], str) else listing(found)
        named = {str(reference[0]): reference for reference in references if listing(reference)}
    layers = {str(name): str(listing(reference)[0]) for name, reference in named.items() if listing(reference)}
    if len(layers) > 1:
        raise ModelError(f"model: got {len(layers)} {side.replace('_layers', 's')}, expected one")
    return layers


def input_shape(config: Config) -> Shape | None:
    """Return the model's input shape without the batch, None where the file does not say."""
    wanted, held = ends(config, "input_layers").values(), layers(config)
    inputs = [layer for layer in held if layer.get("class_name") == "InputLayer"]
    inputs = [layer for layer in inputs if not wanted or str(layer["config"].get("name")) in wanted]
    for layer in inputs or held[:1]:
        for spelling, batched in SPELLINGS:
            if (shape := shape_of(layer["config"].get(spelling), batched)) is not None:
                return shape
    return shape_of(mapping(config.get("build_config")).get("input_shape"), batched=True)


def shape_of(value: Any, batched: bool) -> Shape | None:
    """Return a shape without the batch, None for what is no shape."""
    axes = listing(value)
    whole = all(axis is None or (isinstance(axis, int) and not isinstance(axis, bool)) for axis in axes)
    if not isinstance(value, list) or not whole or (batched and not axes):
        return None
    return tuple(axes[1:] if batched else axes)


def last_dense(config: Config, wanted: set[str]) -> Config:
    """Return the Dense layer that gives the output, nothing where another kind of layer does."""
    given = [layer for layer in layers(config) if not wanted or str(layer["config"].get("name")) in wanted]
    shaped = [layer for layer in given if layer.get("class_name") not in ("Activation", "Softmax", "Dropout")]
    return shaped[-1] if shaped and shaped[-1].get("class_name") == "Dense" else {}


def label_shape(dense: Config) -> Shape | None:
    """Return what a Dense layer gives without batch and units, None where the file does not say."""
    built = shape_of(mapping(dense.get("build_config")).get("input_shape"), batched=True)
    return built[:-1] if built else None
