"""How much memory a trainer needs for a model, by its file, and which trainer a run takes; used by the planner."""

import json
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from common.errors import ModelError
from common.plan import keras_activations, keras_weights
from common.plan.keras_config import Config, called, mapping, name_plugins
from common.plan.keras_weights import Weights
from common.plan.plan import Trainer

MB = 1 << 20
PLENTY = 1 << 20  # MB
STEP = 64  # MB: what DL_TRAINER_MEMORY is rounded up to in a sentence
MARGIN = 1.05  # of the estimate, by what it is off where it was measured
# Fitted to the peaks of many models (benchmarks/results/estimate.md).
FLOOR = 211 * MB  # TensorFlow, Keras, the action, a small model
LAYER = 0.75 * MB  # a layer's graph, forward and backward
KEPT = 1.15  # of what layers keep for the backward pass
LARGE, SMALL = 0.9, 4.0  # of trained weights in large and small tensors: what an optimizer's step takes beside slots
PLAIN = 0.1  # the same where the optimizer has no slots


@dataclass(frozen=True)
class Footprint:
    """What a model's file tells of the memory that training it takes."""

    weights: Weights
    config: Config

    def bytes(self, batch: int, length: int, pieces: bool = False) -> int:
        """Estimate the peak of a trainer's private memory with batches of so many examples, or pieces of batches.

        `length` stands for axes of any length. Weights, slots and gradients are counted, the rest is measured.
        """
        layers = keras_activations.activations(self.config, length)
        kept = sum(one.kept for one in layers if not one.frozen)
        passing = max((one.kept for one in layers if one.frozen), default=0)
        copies = 2 + self.weights.slots + pieces  # weights, gradients, slots; sums of the pieces' gradients
        held = self.weights.trained * copies + self.weights.frozen
        return int(FLOOR + LAYER * len(layers) + held + KEPT * 4 * batch * (kept + passing) + self.step())

    def least(self, batch: int, length: int) -> int:
        """Estimate the least that batches of so many examples take: whole, or an example at a time."""
        return min(self.bytes(batch, length), self.bytes(1, length, pieces=batch > 1))

    def step(self) -> float:
        """Return what a step of the optimizer takes, in bytes."""
        held = self.weights
        if not held.slots:
            return PLAIN * held.trained
        return LARGE * (held.trained - held.small) + SMALL * held.small

    def without_slots(self) -> "Footprint":
        """Return the footprint with an optimizer that keeps nothing for a weight."""
        return Footprint(replace(self.weights, slots=0), self.config)


def read(path: Path, optimizer: Config | None = None, most: int = PLENTY) -> Footprint | None:
    """Return a model's footprint, with another optimizer than its own where there is one.

    None where its file does not say, as of a model that was never built. ModelError for weights above `most` MB.
    """
    with zipfile.ZipFile(path) as file:
        config = mapping(json.loads(file.read("config.json")))
        size = file.getinfo(keras_weights.WEIGHTS).file_size
    name_plugins(config)
    if size > most * MB:  # what is packed may be of any size
        raise ModelError(f"model: got weights of {size // MB} MB, the largest trainer has {most}")
    if optimizer:
        config["compile_config"] = {**mapping(config.get("compile_config")), "optimizer": optimizer}
    weights = keras_weights.read(path, config)
    return Footprint(weights, config) if weights else None


def trainer(found: Footprint | None, batch: int, length: int, sizes: Mapping[str, int]) -> Trainer:
    """Return the smallest trainer, of these actions and MB, that holds whole batches; else the largest and pieces.

    ModelError where neither whole batches nor an example at a time fits.
    """
    ordered = sorted({memory: action for action, memory in reversed([*sizes.items()])}.items())
    most, largest = ordered[-1]
    if found is None:
        memory, action = ordered[0]
        return Trainer(action, memory, largest, None, None)
    pieces = [batch, *(batch >> n for n in range(1, batch.bit_length()))]
    for micro in pieces:
        for memory, action in ordered if micro == batch else [(most, largest)]:
            need = found.bytes(micro, length, pieces=micro != batch)
            if need * MARGIN <= memory * MB:
                return Trainer(action, memory, largest, None if micro == batch else micro, need)
    raise ModelError(refusal(found, batch, length, most))


def refusal(found: Footprint, batch: int, length: int, most: int) -> str:
    """Return the sentence for a model that fits no trainer."""
    need, plain = (one.least(batch, length) for one in (found, found.without_slots()))
    optimizer = called(mapping(mapping(found.config.get("compile_config")).get("optimizer")))
    ways = [f"SGD would need {plain // MB}"] if plain * MARGIN <= most * MB and plain < need else []
    ways.append(f"DL_TRAINER_MEMORY={int(-(-need * MARGIN // (STEP * MB)) * STEP)} where the platform allows it")
    for_what = f"{counted(found.weights.count)} parameters with {optimizer}"
    return f"model: needs about {need // MB} MB for {for_what}, the largest trainer has {most}: {', or '.join(ways)}"


def counted(number: int) -> str:
    """Return a number as people say it."""
    return f"{number / 1e6:.3g} million" if number >= 1_000_000 else str(number)
