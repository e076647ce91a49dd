"""A `.keras` file read without TensorFlow: what the planner must know of a model before anything is started."""

import json
import re
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from common.errors import ModelError

Config = dict[str, Any]
Shape = tuple[int | None, ...]  # without the batch; None stands for any length
MODELS = ("Sequential", "Functional", "Model")
# Metrics that are means over examples: those of parts of a set give that of the whole.
MEANS = {
    *("acc", "accuracy", "binary_accuracy", "categorical_accuracy", "sparse_categorical_accuracy"),
    *("mse", "mae", "mean_squared_error", "mean_absolute_error"),
}


@dataclass(frozen=True)
class KerasFile:
    """What a model takes and gives: input shape without the batch, units of the last Dense, loss, accuracy or not.

    `means` says that all its metrics are means over examples, `label_shape` what the last Dense gives without batch and
    units: `()` for one label an example, `(steps,)` for one a step.
    """

    input_shape: Shape | None
    classes: int | None
    loss: str
    accuracy: bool = False
    means: bool = False
    label_shape: Shape | None = None

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
        if self.loss == "categorical_crossentropy" and not fits(shape, wanted):
            raise ModelError(f"model: loss {self.loss}, expected labels of shape {wanted}, got {shape}")


def fits(shape: tuple[int, ...], expected: Shape) -> bool:
    """Return whether a shape is the expected one."""
    return len(shape) == len(expected) and all(e in (None, s) for s, e in zip(shape, expected, strict=True))


def read(path: Path, name: str) -> KerasFile:
    """Read a `.keras` file's configuration; ModelError, naming `name`, when it cannot be trained here."""
    try:
        with zipfile.ZipFile(path) as file:
            config = json.loads(file.read("config.json"))
            file.getinfo("model.weights.h5")
    except (zipfile.BadZipFile, KeyError, ValueError) as error:
        raise ModelError(f"model: got no .keras file at {name} ({error}), expected one of keras.Model.save") from None
    return describe(config)


def describe(config: Config) -> KerasFile:
    """Return what a model's configuration says; ModelError when it cannot be trained here."""
    if not isinstance(config, dict) or config.get("class_name") not in MODELS:
        got = config.get("class_name") if isinstance(config, dict) else type(config).__name__
        raise ModelError(f"model: got class {got}, expected a Sequential or Functional model")
    refuse_code(config)
    compiled = config.get("compile_config")
    if not compiled or not compiled.get("optimizer") or not compiled.get("loss"):
        raise ModelError(
            "model: got no optimizer and loss, expected a compiled model (model.compile before model.save)"
        )
    metrics, weighted = compiled.get("metrics") or [], compiled.get("weighted_metrics")
    accuracy = "acc" in json.dumps([metrics, weighted]).lower()
    means = not weighted and all(isinstance(metric, str) and metric in MEANS for metric in metrics)
    loss, last = compiled["loss"], last_dense(config)
    units = int(last["config"]["units"]) if last and not ignores_class(loss) else None
    return KerasFile(input_shape(config), units, loss_name(loss), accuracy, means, label_shape(last))


def refuse_code(config: Config) -> None:
    """Refuse what needs code beyond Keras itself: Lambda layers, custom classes, functions."""
    for part in parts(config):
        name = part.get("class_name")
        if name in ("Lambda", "__lambda__", "function") or part.get("registered_name", name) not in (None, name):
            raise ModelError(f"model: got {name}, expected layers of Keras itself without code of their own")
        if name == "DTypePolicy" and part["config"]["name"] == "bfloat16":
            raise ModelError("model: got the dtype bfloat16, expected float32 or mixed_bfloat16")
        if name and str(name).startswith("Quantized"):
            raise ModelError("model: got quantized layers, expected float ones: their ranges have no average")
        if "class_name" in part and not str(part.get("module") or "keras").startswith("keras"):
            raise ModelError(f"model: got {part['module']}.{name}, expected layers of Keras itself")


def parts(config: Any) -> Iterator[Config]:
    """Yield every object inside a configuration."""
    if isinstance(config, dict):
        yield config
    inside = config.values() if isinstance(config, dict) else config if isinstance(config, list) else ()
    for part in inside:
        yield from parts(part)


def layers(config: Config) -> list[Config]:
    """Return a model's layers."""
    return list(config["config"].get("layers", []))


def ends(config: Config, side: str) -> list[str]:
    """Return the names of a Functional model's `input_layers` or `output_layers`."""
    found = config["config"].get(side) or []
    if isinstance(found, dict):
        found = list(found.values())
    references = [found] if found and isinstance(found[0], str) else found
    names = [reference[0] for reference in references]
    if len(names) > 1:
        raise ModelError(f"model: got {len(names)} {side.replace('_layers', 's')}, expected one")
    return names


def input_shape(config: Config) -> Shape | None:
    """Return the model's input shape without the batch, None where the file does not say."""
    wanted = ends(config, "input_layers")
    for layer in layers(config):
        if layer["class_name"] == "InputLayer" and (not wanted or layer["config"]["name"] in wanted):
            return tuple(layer["config"]["batch_shape"][1:])
    built = (config.get("build_config") or {}).get("input_shape")
    return tuple(built[1:]) if built else None


def last_dense(config: Config) -> Config | None:
    """Return the Dense layer that gives the output, None where another kind of layer does."""
    wanted = ends(config, "output_layers")
    given = [layer for layer in layers(config) if not wanted or layer["config"]["name"] in wanted]
    shaped = [layer for layer in given if layer["class_name"] not in ("Activation", "Softmax", "Dropout")]
    last = shaped[-1] if shaped else None
    return last if last and last["class_name"] == "Dense" else None


def label_shape(dense: Config | None) -> Shape | None:
    """Return what a Dense layer gives without batch and units, None where the file does not say."""
    built = dense and (dense.get("build_config") or {}).get("input_shape")
    return tuple(built[1:-1]) if built else None


def ignores_class(loss: Any) -> bool:
    """Return whether a loss leaves out labels of one number, which may be any."""
    return isinstance(loss, dict) and (loss.get("config") or {}).get("ignore_class") is not None


def loss_name(loss: Any) -> str:
    """Return a loss in Keras' lower-case spelling, from a name or a serialized object."""
    if isinstance(loss, str):
        return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", loss).lower()
    if isinstance(loss, dict) and isinstance(loss.get("class_name"), str):
        return loss_name(loss["class_name"])
    raise ModelError(f"model: got the loss {loss!r}, expected one loss")
