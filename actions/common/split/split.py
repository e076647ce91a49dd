"""The split, carried out: streams the dataset once, checks every value, leaves shards and held-out sets in the store.

Used by the splitter. Memory is bounded by a chunk of rows; the disk holds one copy of the dataset. May run twice or be
cut off anywhere: the same plan writes the same objects.
"""

import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from common.data import shards
from common.data.arrays import Array, Pair, stored_dtype
from common.data.columns import Asked, Columns
from common.data.dataset import Dataset, open_dataset, part_of
from common.data.groups import Held
from common.errors import DatasetError, ParameterError, RunError
from common.plan.plan import HeldOut, Plan, Source
from common.split import weights
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
        present = {key for part in ("shards/", *keys.HELD_OUT) for key in run.sizes(part)}
        for key, path in files.items():
            if clock() > deadline - RESERVE_SECONDS:
                return False
            if key not in present:
                run.objects.create_from(run.at(key), blocks(path))
        hashes = {key: sha256(path) for key, path in files.items()}
    report = {"counts": plan.counts, "sha256": hashes, "warnings": warnings, "seconds": clock() - started}
    if plan.columns.classes:
        run.create_json(keys.CLASSES, plan.columns.classes)
    run.create_json(keys.SPLIT, report)
    return True


def scatter(run: Run, plan: Plan, folder: Path) -> tuple[dict[str, Path], list[str]]:
    """Write every shard and set as .npy files into a folder; return {key: file} and warnings.

    RunError for a dataset that was replaced, even while it was read.
    """
    dataset = reopen(run, "dataset", plan.dataset, plan.columns, plan.train)
    groups = class_numbers(plan, dataset, plan.train.y)
    files = deal_shards(plan, dataset, groups, folder)
    for held in plan.held:
        if held.pair:
            columns = replace(plan.columns, weight=None, group=None)
            own = reopen(run, held.name, held.sources, columns, held.pair) if held.sources else dataset
            files |= copy_set(plan, own, held.pair, held.name, folder)
    for source in (*plan.dataset, *(one for held in plan.held for one in held.sources or ())):
        check_same(run, source)
    return files, thin_classes(groups, plan.workers)


def check_same(run: Run, source: Source) -> None:
    """Refuse an object that has been replaced since it was planned."""
    at = Location(source.bucket, source.key)
    if (etag := run.objects.head(at)[1]) != source.etag:
        raise RunError(f"{at}: got etag {etag}, expected {source.etag} as planned")


def deal_shards(plan: Plan, dataset: Dataset, groups: shards.Groups | None, folder: Path) -> dict[str, Path]:
    """Write the training set's shards, and the sets that are dealt out of it; return {key: file}."""
    dealt = [held for held in plan.held if held.pair is None]
    examples = plan.train.y.shape[0]
    fixed = owners_of_groups(plan, dataset, dealt) if plan.train.group and dealt else None
    counts = [held.examples for held in dealt] if fixed is None else []
    owner = shards.assign(groups, examples, plan.workers, plan.seed, counts, fixed)
    files: dict[str, Path] = {}
    for array, name, classes in ((plan.train.x, "x", None), (plan.train.y, "y", bound(plan))):
        targets = {lane: keys.shard_key(lane, name) for lane in range(plan.workers)}
        targets |= {-number: keys.part_key(held.name, name) for number, held in enumerate(dealt, 1)}
        files |= deal_out(checked_rows(dataset, array, classes), array, owner, targets, folder)
    if "weight" in plan.arrays:
        blocks, array = weighed(plan, dataset, groups, owner), Array("weight", (examples,), "<f4")
        targets = {lane: keys.shard_key(lane, "weight") for lane in range(plan.workers)}
        files |= deal_out(blocks, array, owner, targets, folder)
    return files


def owners_of_groups(plan: Plan, dataset: Dataset, dealt: list[HeldOut]) -> NDArray[np.int8]:
    """Return the held-out set of each example by its group `(examples,)`, 0 for those to train on."""
    group = plan.train.group
    assert group is not None
    fractions = [held.fraction or 0.0 for held in dealt]
    chosen = Held(group.name, dataset.chunks(group), fractions, plan.seed)
    return np.concatenate([chosen.owners(values) for values in dataset.chunks(group)])


def weighed(
    plan: Plan, dataset: Dataset, groups: shards.Groups | None, owner: NDArray[np.int8]
) -> Iterator[weights.Block]:
    """Yield what each example weighs in the loss; ParameterError for weights of classes where there are none."""
    own, asked = plan.train.weight, plan.parameters["class_weight"]
    blocks = weights.checked(checked_rows(dataset, own)) if own else weights.ones(len(owner))
    if not asked:
        return blocks
    if groups is None:
        raise ParameterError("class_weight: got a value, expected none, as the labels are no classes")
    if asked == "balanced":
        return weights.times(blocks, weights.balanced(groups, owner), groups)
    names = plan.columns.classes or weights.class_names(rows for _, rows in checked_rows(dataset, plan.train.y))
    return weights.times(blocks, weights.given(asked, names), groups)


def reopen(run: Run, name: str, planned: tuple[Source, ...], columns: Columns, pair: Pair) -> Dataset:
    """Open a dataset of the plan; RunError when an object of it has been replaced since."""
    for source in planned:
        check_same(run, source)
    parts = [part_of(run.objects, Location(source.bucket, source.key)) for source in planned]
    return open_dataset(parts, name, Asked(), columns, pair.y.shape[0])


def copy_set(plan: Plan, dataset: Dataset, pair: Pair, part: str, folder: Path) -> dict[str, Path]:
    """Write a held-out set's two arrays; return {key: file}."""
    everyone = np.broadcast_to(np.int8(0), (pair.x.shape[0],))
    inputs, labels = checked_rows(dataset, pair.x), checked_rows(dataset, pair.y, bound(plan))
    files = deal_out(inputs, pair.x, everyone, {0: keys.part_key(part, "x")}, folder)
    return files | deal_out(labels, pair.y, everyone, {0: keys.part_key(part, "y")}, folder)


def deal_out(
    blocks: Iterable[weights.Block], array: Array, owner: NDArray[np.int8], targets: dict[int, str], folder: Path
) -> dict[str, Path]:
    """Stream an array's rows, as stored, into one .npy file per owner; `owner` `(examples,)`; return {key: file}."""
    dtype = stored_dtype(array.dtype)
    files = {who: folder / key.replace("/", "-") for who, key in targets.items()}
    with ExitStack() as stack:
        opened = {who: stack.enter_context(path.open("wb")) for who, path in files.items()}
        for who, file in opened.items():
            shape = (int(np.count_nonzero(owner == who)), *array.shape[1:])
            np.lib.format.write_array_header_1_0(file, {"descr": dtype.str, "fortran_order": False, "shape": shape})
        for first, rows in blocks:
            mine = owner[first : first + len(rows)]
            for who, file in opened.items():
                file.write(rows[mine == who].tobytes())
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
    """Yield (first example, rows as stored); DatasetError at the first that is no finite number, or no class number."""
    first, dtype = 0, stored_dtype(array.dtype)
    for given in dataset.chunks(array):
        with np.errstate(over="ignore"):  # what 32 bits do not hold becomes infinite, which is refused
            rows = given.astype(dtype, copy=False)
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
