"""A dataset too large for one splitter, cut into slices of rows, and what each leaves in the store.

A slice's rows go into pieces, one for each object that has some of them; all pieces of an object, one after the other,
are the object as one splitter would have written it.
"""

import io
import math
from collections.abc import Iterable
from dataclasses import dataclass, fields

import numpy as np

from common.data.arrays import Array, stored_dtype
from common.errors import AbsentError
from common.plan.plan import Plan
from common.storage import keys
from common.storage.run import SPLIT_KEYS, Folder, Run

SLICE_BYTES = 256 << 20  # on a splitter's disk at once
TRAINING = "training"
WEIGHT = Array("weight", (0,), "<f4")


@dataclass(frozen=True)
class Slice:
    """Rows begin..end (end not included) of the training set, or of a held-out set that is none of it."""

    dealt: str  # TRAINING, or the set's name
    number: int
    begin: int
    end: int

    @property
    def folder(self) -> str:
        """Where its pieces lie."""
        return f"{keys.PIECES}{self.dealt}-{self.number:05d}/"

    @property
    def mark_key(self) -> str:
        """The key that says that all of its pieces are in the store, and what they are."""
        return f"{keys.PIECES}{self.dealt}-{self.number:05d}.json"


@dataclass(frozen=True)
class Mark:
    """What a slice has left, written last."""

    pieces: dict[str, tuple[int, str]]  # bytes and sha256 by the key of the object that each is a piece of
    warnings: list[str]
    seconds: float  # of the activation that carried it out


def read_marks(data: Folder, slices: Iterable[Slice]) -> dict[Slice, Mark]:
    """Return what each slice has left; AbsentError where that is gone: another splitter has put it together."""
    found = {}
    for piece in slices:
        held = data.find_whole(piece.mark_key, tuple(field.name for field in fields(Mark)))
        if held is None:
            raise AbsentError(f"{data.called}: got no {piece.mark_key}, expected all slices of the dataset")
        left = {key: (size, digest) for key, (size, digest) in held["pieces"].items()}
        found[piece] = Mark(left, held["warnings"], held["seconds"])
    return found


def is_done(run: Run) -> bool:
    """Return whether a run's data is split."""
    return run.find_whole(keys.SPLIT, SPLIT_KEYS) is not None


def is_whole(data: Folder, plan: Plan) -> bool:
    """Return whether a split is done, by whatever run, and all of its objects are there in their sizes."""
    if data.find_whole(keys.SPLIT, SPLIT_KEYS) is None:
        return False
    return objects(plan).items() <= stored(data).items()


def stored(data: Folder) -> dict[str, int]:
    """Return {key: bytes} of the objects that are in the store already."""
    return {key: size for part in (keys.SHARDS, *keys.HELD_OUT) for key, size in data.sizes(part).items()}


def is_small(plan: Plan) -> bool:
    """Return whether one splitter's disk holds all of it."""
    return sum(rows * width for rows, width in sets(plan).values()) <= SLICE_BYTES


def cut(plan: Plan) -> list[Slice]:
    """Return the slices of a dataset, in the order of its rows."""
    return [
        Slice(name, number, begin, min(begin + step, rows))
        for name, (rows, width) in sets(plan).items()
        for step in [max(1, SLICE_BYTES // width)]
        for number, begin in enumerate(range(0, rows, step))
    ]


def sets(plan: Plan) -> dict[str, tuple[int, int]]:
    """Return examples and bytes of one, as stored, of each set that is read."""
    training = [*plan.train.data().values(), *([WEIGHT] if plan.weighted else [])]
    found = {TRAINING: (plan.train.examples, row_bytes(training))}
    return found | {one.name: (one.examples, row_bytes(one.pair.data().values())) for one in plan.held if one.pair}


def row_bytes(arrays: Iterable[Array]) -> int:
    """Return the bytes of an example as stored."""
    return sum(math.prod(array.shape[1:]) * stored_dtype(array.dtype).itemsize for array in arrays)


def missing(data: Folder, slices: Iterable[Slice]) -> list[Slice]:
    """Return the slices whose pieces are not all in the store."""
    held = data.sizes(keys.PIECES)
    return [piece for piece in slices if piece.mark_key not in held]


def objects(plan: Plan) -> dict[str, int]:
    """Return {key: bytes} of all objects that the split leaves."""
    train = {**plan.train.data(), "weight": WEIGHT}
    lanes = enumerate(plan.counts)
    found = {keys.shard_key(lane, name): size(train[name], count) for lane, count in lanes for name in plan.arrays}
    for held in plan.held:
        arrays = held.pair.data() if held.pair else train
        found |= {keys.part_key(held.name, name): size(arrays[name], held.examples) for name in plan.held_arrays}
    return found


def size(array: Array, count: int) -> int:
    """Return the bytes of an object that holds so many rows of an array."""
    return len(header(array, count)) + count * row_bytes([array])


def header(array: Array, count: int) -> bytes:
    """Return the head of an .npy file of so many rows of an array."""
    file = io.BytesIO()
    shape, dtype = (count, *array.shape[1:]), stored_dtype(array.dtype)
    np.lib.format.write_array_header_1_0(file, {"descr": dtype.str, "fortran_order": False, "shape": shape})
    return file.getvalue()
