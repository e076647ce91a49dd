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

from common.data import shards
from common.data.arrays import Array, Pair, stored_dtype
from common.data.dataset import Dataset
from common.errors import DatasetError, RunError
from common.plan.plan import Plan, Source
from common.storage import keys
from common.storage.file import blocks, sha256
from common.storage.objects import Location
from common.storage.run import SPLIT_KEYS, Run

RESERVE_SECONDS = 30.0  # left of the activation's time: the next upload might not fit


def split(run: Run, plan: Plan, deadline: float, clock: Callable[[], float] = time.time) -> bool:
    """Write the shards and sets that the store lacks; return False when the deadline (epoch seconds) cut it short."""
    if run.find_whole(keys.SPLIT, SPLIT_KEYS):
        return True
    started = clock()
    with tempfile.TemporaryDirectory() as folder:
        files, warnings = scatter(run, plan, Path(folder))
        present = {key for part in ("shards/", "test/", "validation/") for key in run.sizes(part)}
        for key, path in files.items():
            if clock() > deadline - RESERVE_SECONDS:
                return False
            if key not in present:
                run.objects.create_from(run.at(key), blocks(path))
        hashes = {key: sha256(path) for key, path in files.items()}
    report = {"counts": plan.counts, "sha256": hashes, "warnings": warnings, "seconds": clock() - started}
    run.create_json(keys.SPLIT, report)
    return True


def scatter(run: Run, plan: Plan, folder: Path) -> tuple[dict[str, Path], list[str]]:
    """Write every shard and set as .npy files into a folder; return {key: file} and warnings."""
    dataset = reopen(run, plan.dataset)
    train, test = dataset.training(), dataset.test()
    groups = class_numbers(plan, dataset, train.y)
    files = deal_shards(plan, dataset, train, groups, folder)
    if test:
        files |= copy_set(plan, dataset, test, "test", folder)
    if plan.validation:
        held = reopen(run, plan.validation)
        files |= copy_set(plan, held, held.held_out(), "validation", folder)
    return files, thin_classes(groups, plan.workers)


def deal_shards(
    plan: Plan, dataset: Dataset, train: Pair, groups: shards.Groups | None, folder: Path
) -> dict[str, Path]:
    """Write the training set's shards, and what a fraction holds out of it; return {key: file}."""
    fraction = plan.parameters["validation"]
    held = fraction if isinstance(fraction, float) else None
    owner = shards.assign(groups, train.y.shape[0], plan.workers, plan.seed, held)
    files: dict[str, Path] = {}
    for array, name, classes in ((train.x, "x", None), (train.y, "y", bound(plan))):
        targets = {lane: keys.shard_key(lane, name) for lane in range(plan.workers)}
        targets |= {-1: keys.part_key("validation", name)} if held else {}
        files |= deal_out(dataset, array, owner, targets, folder, classes)
    return files


def reopen(run: Run, planned: Source) -> Dataset:
    """Open a dataset of the plan; RunError when it has been replaced since."""
    dataset = Dataset(run.objects, Location(planned.bucket, planned.key))
    if dataset.etag != planned.etag:
        raise RunError(f"{dataset.at}: got etag {dataset.etag}, expected {planned.etag} as planned")
    return dataset


def copy_set(plan: Plan, dataset: Dataset, pair: Pair, part: str, folder: Path) -> dict[str, Path]:
    """Write a held-out set's two arrays; return {key: file}."""
    everyone = np.broadcast_to(np.int8(0), (pair.x.shape[0],))
    files = deal_out(dataset, pair.x, everyone, {0: keys.part_key(part, "x")}, folder)
    return files | deal_out(dataset, pair.y, everyone, {0: keys.part_key(part, "y")}, folder, bound(plan))


def deal_out(
    dataset: Dataset,
    array: Array,
    owner: NDArray[np.int8],
    targets: dict[int, str],
    folder: Path,
    classes: int | None = None,
) -> dict[str, Path]:
    """Stream an array's rows into one .npy file per owner; `owner` `(examples,)`; return {key: file}."""
    dtype = stored_dtype(array.dtype)
    files = {who: folder / key.replace("/", "-") for who, key in targets.items()}
    with ExitStack() as stack:
        opened = {who: stack.enter_context(path.open("wb")) for who, path in files.items()}
        for who, file in opened.items():
            shape = (int(np.count_nonzero(owner == who)), *array.shape[1:])
            np.lib.format.write_array_header_1_0(file, {"descr": dtype.str, "fortran_order": False, "shape": shape})
        for first, rows in checked_rows(dataset, array, classes):
            mine = owner[first : first + len(rows)]
            for who, file in opened.items():
                file.write(rows[mine == who].astype(dtype, copy=False).tobytes())
    return {targets[who]: path for who, path in files.items()}


def class_numbers(plan: Plan, dataset: Dataset, labels: Array) -> shards.Groups | None:
    """Return the class of each example `(examples,)`, None where labels are no classes."""
    classes = bound(plan)
    blocks = (rows for _, rows in checked_rows(dataset, labels, classes))
    return shards.class_numbers(rows.astype(np.int64, copy=False) if classes else rows for rows in blocks)


def bound(plan: Plan) -> int | None:
    """Return how many classes the labels may name, None where they are no class numbers or may be any."""
    model = plan.model
    return model.classes if model.loss.startswith("sparse_categorical") else None


def checked_rows(dataset: Dataset, array: Array, classes: int | None = None) -> Iterator[tuple[int, NDArray[Any]]]:
    """Yield (first example, rows); DatasetError at the first value that is no finite number, or no class number."""
    first = 0
    for rows in dataset.chunks(array):
        if rows.dtype.kind == "f":
            check_finite(array.name, rows, first)
        if classes:
            check_classes(array.name, rows, classes)
        yield first, rows
        first += len(rows)


def check_finite(name: str, rows: NDArray[Any], first: int) -> None:
    """Refuse NaN and infinity."""
    bad = ~np.isfinite(rows).reshape(len(rows), -1).all(axis=1)
    if bad.any():
        at = first + int(np.argmax(bad))
        raise DatasetError(f"{name}: example {at} got NaN or infinity, expected finite numbers")


def check_classes(name: str, rows: NDArray[Any], classes: int) -> None:
    """Refuse a class that the model has no output for, and what is no class."""
    if rows.dtype.kind == "f" and (broken := rows[rows % 1 != 0]).size:
        raise DatasetError(f"{name}: got the label {broken.flat[0]}, expected whole numbers, the classes")
    low, high = int(rows.min()), int(rows.max())
    if low < 0 or high >= classes:
        raise DatasetError(f"{name}: got labels {low}..{high}, expected 0..{classes - 1} as the model gives")


def thin_classes(groups: shards.Groups | None, workers: int) -> list[str]:
    """Return a warning when some class has fewer examples than there are lanes."""
    if groups is None:
        return []
    thin = int(np.count_nonzero(shards.class_sizes(groups) < workers))
    return [f"{thin} classes have fewer examples than workers ({workers}): some lanes never see them"] if thin else []
