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
from common.plan.keras_adapted import refuse_unadapted
from common.plan.keras_config import Config, called, mapping, name_plugins, parts, refuse_code, word
from common.plan.keras_inputs import ModelInput, inputs
from common.plan.keras_outputs import ModelOutput, names, outputs

MODELS = ("Sequential", "Functional", "Model")
CONFIG_BYTES = 4 << 20  # of JSON, which takes up to 24 times as much in memory; 1,000 layers are half of one
BUFFER_BYTES = 1 << 16


@dataclass(frozen=True)
class KerasFile:
    """What a model takes and gives: inputs and outputs, accuracy or not.

    `means` says that all its metrics are means over examples, `rates` the schedule of its learning rate, if any, `rate`
    that rate where it is a number, `one_rate` whether its optimizer has one.
    """

    inputs: tuple[ModelInput, ...]
    outputs: tuple[ModelOutput, ...]
    accuracy: bool = False
    means: bool = False
    rates: str | None = None
    one_rate: bool = True
    rate: float | None = None

    @property
    def labelled(self) -> tuple[ModelOutput, ...]:
        """The outputs that have a loss, and so labels."""
        return tuple(one for one in self.outputs if one.loss)

    def with_optimizer(self, optimizer: Config | None) -> "KerasFile":
        """Return the file with another optimizer, where there is one."""
        if optimizer is None:
            return self
        refuse_code(optimizer, "optimizers")
        rate = compiled.learning_rate(optimizer)
        return replace(self, rates=compiled.schedule(rate), rate=compiled.number(rate), one_rate=True)

    def for_labels(self, shapes: Sequence[tuple[int, ...]]) -> "KerasFile":
        """Return the file with the losses that `crossentropy` stands for, by the shape of each output's labels."""
        left = iter(shapes)
        return replace(self, outputs=tuple(one.for_labels(next(left)) if one.loss else one for one in self.outputs))

    def check_inputs(self, shapes: Sequence[tuple[int, ...]]) -> None:
        """Refuse examples, a shape an input, that the model does not take."""
        for one, shape in zip(self.inputs, shapes, strict=True):
            one.check(shape, f"input {word(one.name)}" if len(self.inputs) > 1 else "input")

    def check_labels(self, shapes: Sequence[tuple[int, ...]]) -> None:
        """Refuse labels, a shape an output, that its loss cannot take."""
        for one, shape in zip(self.labelled, shapes, strict=True):
            one.check(shape, f"output {word(one.name)}: " if len(self.outputs) > 1 else "")


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
    name_plugins(held)
    if held.get("class_name") not in MODELS or not isinstance(held.get("config"), dict):
        got = called(held) if held else type(config).__name__
        raise ModelError(f"model: got class {got}, expected a Sequential or Functional model")
    refuse_code({name: value for name, value in held.items() if name != "compile_config"})
    refuse_stateful(held)
    refuse_unadapted(held)
    sequential = held["class_name"] == "Sequential"
    found = compiled.read(held.get("compile_config"), None if sequential else names(held))
    ends = (inputs(held), outputs(held, found.losses))
    return KerasFile(*ends, found.accuracy, found.means, found.rates, found.one_rate, found.rate)


def refuse_stateful(config: Config) -> None:
    """Refuse layers that carry a state from batch to batch: the batches of lanes do not follow each other."""
    for part in parts(config):
        if mapping(part.get("config")).get("stateful") is True:
            name = word(part["config"].get("name"))
            raise ModelError(f"model: layer {name} is stateful, expected stateful=False, as batches are shuffled")
