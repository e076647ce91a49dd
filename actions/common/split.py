"""The split, carried out: streams the dataset once, checks every value, leaves shards and held-out sets in the store.

Used by the splitter. Memory is bounded by a chunk of rows; the disk holds one copy of the dataset. May run twice or be
cut off anywhere: the same plan writes the same objects.
"""

import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from common import plan as plans
from common import run as keys
from common import shards
from common.dataset import Array, Dataset, Pair
from common.errors import DatasetError, RunError
from common.run import Run
from common.store import Location

RESERVE_SECONDS = 30.0  # left of the activation's time: the next upload might not fit


def split(this: Run, plan: plans.Plan, deadline: float, clock: Callable[[], float] = time.time) -> bool:
    """Write the shards and sets that the store lacks; return False when the deadline (epoch seconds) cut it short."""
    if this.find_json(keys.SPLIT):
        return True
    started = clock()
    with tempfile.TemporaryDirectory() as folder:
        files, warnings = scatter(this, plan, Path(folder))
        present = {key for part in ("shards/", "test/", "validation/") for key in this.sizes(part)}
        for key, path in files.items():
            if clock() > deadline - RESERVE_SECONDS:
                return False
            if key not in present:
                this.objects.create_from(this.at(key), plans.blocks(path))
        hashes = {key: plans.sha256(path) for key, path in files.items()}
    report = {"counts": plan["counts"], "sha256": hashes, "warnings": warnings, "seconds": clock() - started}
    this.create_json(keys.SPLIT, report)
    return True


def scatter(this: Run, plan: plans.Plan, folder: Path) -> tuple[dict[str, Path], list[str]]:
    """Write every shard and set as .npy files into a folder; return {key: file} and warnings."""
    dataset = reopen(this, plan["dataset"])
    train, test = dataset.training(), dataset.test()
    labels = checked_labels(plan, dataset, train.y)
    fraction = plan["parameters"]["validation"]
    owner = shards.assign(labels, plan["workers"], plan["seed"], fraction if isinstance(fraction, float) else None)
    files: dict[str, Path] = {}
    for array, name in ((train.x, "x"), (train.y, "y")):
        targets = {lane: keys.shard_key(lane, name) for lane in range(plan["workers"])}
        targets |= {-1: keys.part_key("validation", name)} if isinstance(fraction, float) else {}
        files |= deal_out(dataset, array, owner, targets, folder)
    if test:
        files |= copy_set(plan, dataset, test, "test", folder)
    if plan["validation"]:
        held = reopen(this, plan["validation"])
        files |= copy_set(plan, held, held.held_out(), "validation", folder)
    return files, thin_classes(labels, plan["workers"])


def reopen(this: Run, identity: dict[str, Any]) -> Dataset:
    """Open a dataset of the plan; RunError when it has been replaced since."""
    dataset = Dataset(this.objects, Location(identity["bucket"], identity["key"]))
    if dataset.etag != identity["etag"]:
        raise RunError(f"{dataset.at}: got etag {dataset.etag}, expected {identity['etag']} as planned")
    return dataset


def copy_set(plan: plans.Plan, dataset: Dataset, pair: Pair, part: str, folder: Path) -> dict[str, Path]:
    """Write a held-out set's two arrays; return {key: file}."""
    everyone = np.zeros(pair.x.shape[0], np.int64)
    checked_labels(plan, dataset, pair.y)
    files = deal_out(dataset, pair.x, everyone, {0: keys.part_key(part, "x")}, folder)
    return files | deal_out(dataset, pair.y, everyone, {0: keys.part_key(part, "y")}, folder)


def deal_out(
    dataset: Dataset, array: Array, owner: NDArray[np.int64], targets: dict[int, str], folder: Path
) -> dict[str, Path]:
    """Stream an array's rows into one .npy file per owner; `owner` `(examples,)`; return {key: file}."""
    dtype = stored_dtype(array.dtype)
    files = {who: folder / key.replace("/", "-") for who, key in targets.items()}
    with ExitStack() as stack:
        opened = {who: stack.enter_context(path.open("wb")) for who, path in files.items()}
        for who, file in opened.items():
            shape = (int(np.count_nonzero(owner == who)), *array.shape[1:])
            np.lib.format.write_array_header_1_0(file, {"descr": dtype.str, "fortran_order": False, "shape": shape})
        for first, rows in checked_rows(dataset, array):
            mine = owner[first : first + len(rows)]
            for who, file in opened.items():
                file.write(rows[mine == who].astype(dtype, copy=False).tobytes())
    return {targets[who]: path for who, path in files.items()}


def stored_dtype(dtype: str) -> np.dtype[Any]:
    """Return what a shard stores: little-endian, and no float wider than the 32 bits that training uses."""
    given = np.dtype(dtype)
    return np.dtype("<f4") if given.kind == "f" and given.itemsize > 4 else given.newbyteorder("<")


def checked_rows(dataset: Dataset, array: Array) -> Iterator[tuple[int, NDArray[Any]]]:
    """Yield (first example, rows); DatasetError at the first value that is no finite number."""
    first = 0
    for rows in dataset.chunks(array):
        if rows.dtype.kind == "f":
            bad = ~np.isfinite(rows).reshape(len(rows), -1).all(axis=1)
            if bad.any():
                at = first + int(np.argmax(bad))
                raise DatasetError(f"{array.name}: example {at} got NaN or infinity, expected finite numbers")
        yield first, rows
        first += len(rows)


def checked_labels(plan: plans.Plan, dataset: Dataset, array: Array) -> NDArray[Any]:
    """Return a set's labels; DatasetError for a class the model has no output for."""
    labels = np.concatenate([rows for _, rows in checked_rows(dataset, array)])
    classes = plan["model"]["classes"]
    if classes and plan["model"]["loss"].startswith("sparse_categorical"):
        low, high = int(labels.min()), int(labels.max())
        if low < 0 or high >= classes:
            raise DatasetError(f"{array.name}: got labels {low}..{high}, expected 0..{classes - 1} as the model gives")
    return labels


def thin_classes(labels: NDArray[Any], workers: int) -> list[str]:
    """Return a warning when some class has fewer examples than there are lanes."""
    groups = shards.class_numbers(labels)
    if groups is None:
        return []
    thin = int(np.count_nonzero(np.bincount(groups) < workers))
    return [f"{thin} classes have fewer examples than workers ({workers}): some lanes never see them"] if thin else []
