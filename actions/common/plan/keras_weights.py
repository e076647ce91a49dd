"""How much a model's weights and optimizer take, by its `.keras` file alone; used by the planner.

The file of the weights is read by a reader in Python: it may come from anywhere, and the planner holds keys.
"""

import tempfile
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyfive
from pyfive.core import InvalidHDF5File

from common.data import archive
from common.plan import keras_optimizers
from common.plan.keras_adapted import normalizations, refuse_identity
from common.plan.keras_config import Config, mapping, parts

WEIGHTS = "model.weights.h5"
# what the reader meets in a file that is no HDF5, or a broken one
UNREADABLE = (*archive.UNREADABLE, InvalidHDF5File, TypeError, AttributeError, AssertionError)
OPTIMIZER = "optimizer"  # the group of its variables
SMALL_BYTES = 4 << 20  # below, a tensor is not mapped apart (MALLOC_MMAP_THRESHOLD_ of the image)


@dataclass(frozen=True)
class Weights:
    """The bytes of weights that training changes, of those among them in small tensors, of others; slots a weight."""

    trained: int
    small: int
    frozen: int
    slots: int

    @property
    def count(self) -> int:
        """How many weights there are, as float32."""
        return (self.trained + self.frozen) // 4


def read(path: Path, config: Config) -> Weights | None:
    """Return what a file's weights take; None where they do not say, as in a model that was never built."""
    slots = keras_optimizers.slots_of(mapping(config.get("compile_config")).get("optimizer"))
    with tempfile.TemporaryDirectory() as folder, zipfile.ZipFile(path) as file:
        file.extract(WEIGHTS, folder)
        try:
            opened = pyfive.File(Path(folder) / WEIGHTS)
            check_adapted(opened, normalizations(config))
            held = list(tensors(opened, frozen_layers(config), frozen=False))
        except UNREADABLE:  # the trainer says what is wrong with it
            return None
    if not held:
        return None
    trained, frozen = ([size for size, still in held if still is wanted] for wanted in (False, True))
    return Weights(sum(trained), sum(size for size in trained if size < SMALL_BYTES), sum(frozen), slots)


def tensors(group: Any, still: frozenset[str], frozen: bool) -> Iterator[tuple[int, bool]]:
    """Yield the bytes of each tensor of a group and those below it, and whether its layer is frozen."""
    for name in group:
        if name == OPTIMIZER and group.name == "/":
            continue
        held = group[name]
        if isinstance(held, pyfive.Dataset):
            yield int(held.size) * held.dtype.itemsize, frozen
        else:
            yield from tensors(held, still, frozen or called(held) in still)


def check_adapted(group: Any, names: frozenset[str]) -> None:
    """Refuse a file with a Normalization of one of these names that was not adapted."""
    for name in group if names else ():
        held = group[name]
        if isinstance(held, pyfive.Dataset):
            continue
        if (layer := called(held)) in names and "vars" in held:
            refuse_identity(layer, held["vars"])
        check_adapted(held, names)


def called(group: Any) -> str | None:
    """Return the name of the layer that a group is of, or whose variables it holds."""
    name = group.attrs.get("name") or (group["vars"].attrs.get("name") if "vars" in group else None)
    return name.decode(errors="replace") if isinstance(name, bytes) else name


def frozen_layers(config: Config) -> frozenset[str]:
    """Return the names of layers that training leaves as they are, and only of such."""
    layers = [held for part in parts(config.get("config")) if "trainable" in (held := mapping(part.get("config")))]
    names = {
        bool(still): {str(one.get("name")) for one in layers if one["trainable"] is still} for still in (False, True)
    }
    return frozenset(names[False] - names[True])
