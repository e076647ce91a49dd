"""The split, carried out: streams the dataset once, checks every value, leaves shards and held-out sets in the store.

Used by the splitter. Memory is bounded by a chunk of rows; the disk holds one copy of the dataset. May run twice or be
cut off anywhere: the same plan writes the same objects.
"""

import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

from common.data import shards
from common.data.arrays import Pair
from common.data.columns import Asked, Columns
from common.data.dataset import Dataset, open_dataset, part_of
from common.errors import RunError
from common.plan.plan import Plan, Source
from common.split import dealing
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
    groups = dealing.class_numbers(plan, dataset)
    files = dealing.deal_shards(plan, dataset, groups, folder)
    for held in plan.held:
        if held.pair:
            columns = replace(plan.columns, weight=None, group=None)
            own = reopen(run, held.name, held.sources, columns, held.pair) if held.sources else dataset
            files |= dealing.copy_set(plan, own, held, folder)
    for source in (*plan.dataset, *(one for held in plan.held for one in held.sources or ())):
        check_same(run, source)
    return files, thin_classes(groups, plan.workers)


def check_same(run: Run, source: Source) -> None:
    """Refuse an object that has been replaced since it was planned."""
    at = Location(source.bucket, source.key)
    if (etag := run.objects.head(at)[1]) != source.etag:
        raise RunError(f"{at}: got etag {etag}, expected {source.etag} as planned")


def reopen(run: Run, name: str, planned: tuple[Source, ...], columns: Columns, pair: Pair) -> Dataset:
    """Open a dataset of the plan; RunError when an object of it has been replaced since."""
    for source in planned:
        check_same(run, source)
    parts = [part_of(run.objects, Location(source.bucket, source.key)) for source in planned]
    return open_dataset(parts, name, Asked(), columns, pair.examples)


def thin_classes(groups: shards.Groups | None, workers: int) -> list[str]:
    """Return a warning when some class has fewer examples than there are lanes."""
    if groups is None:
        return []
    thin = int(np.count_nonzero(shards.class_sizes(groups) < workers))
    return [f"{thin} classes have fewer examples than workers ({workers}): some lanes never see them"] if thin else []
