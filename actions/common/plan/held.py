"""The sets that no lane trains on, as asked for: the dataset's own, others, or a part of it; used by the planner."""

from dataclasses import replace
from typing import Any

from common.data import shards
from common.data.arrays import Pair
from common.data.columns import Asked
from common.data.dataset import Dataset, Part, open_dataset
from common.data.groups import Held
from common.errors import DatasetError
from common.plan.plan import HeldOut, Source
from common.plan.request import open_parts
from common.storage.objects import Objects

FRACTION = 0.1  # of the training set, where there is no test set and nothing is said of one
NAMES = ("test", "validation")


def sets(objects: Objects, given: dict[str, Any], dataset: Dataset, train: Pair, seed: int) -> list[HeldOut]:
    """Return the sets that no lane trains on; the first is what the model is evaluated on."""
    asked = {name: given[name] for name in NAMES if name in given}
    own = dataset.test()
    if not asked and not own:
        asked = {"test": FRACTION}
    fractions = {name: value for name, value in asked.items() if isinstance(value, float)}
    counts = counted(dataset, train, fractions, seed) if fractions else {}
    found = [
        HeldOut(name, counts[name], None, None, value)
        if isinstance(value, float)
        else other(objects, name, value, dataset)
        for name, value in asked.items()
    ]
    return [HeldOut("test", own.examples, None, own), *found] if own and "test" not in given else found


def counted(dataset: Dataset, train: Pair, fractions: dict[str, float], seed: int) -> dict[str, int]:
    """Return how many examples each fraction holds out; DatasetError where none would be left."""
    examples = train.examples
    if examples < 2:
        raise DatasetError("dataset: got one training example, expected two, as a fraction of them is held out")
    if train.group:
        values = (rows for (rows,) in dataset.batches([train.group]))
        groups = Held(train.group.name, values, list(fractions.values()), seed)
        counts = dict(zip(fractions, groups.counts, strict=True))
    else:
        counts = {name: shards.held_count(examples, fraction) for name, fraction in fractions.items()}
    if sum(counts.values()) >= examples:
        raise DatasetError(f"dataset: got {examples} examples, expected more than test and validation hold out of them")
    return counts


def other(objects: Objects, name: str, given: str | list[str], dataset: Dataset) -> HeldOut:
    """Return a set that has objects of its own."""
    parts = open_parts(objects, name, given)
    pair = open_dataset(parts, name, Asked(), replace(dataset.columns, weight=None, group=None)).held_out()
    return HeldOut(name, pair.examples, tuple(source(part) for part in parts), pair)


def source(part: Part) -> Source:
    """Return what tells an object from another under the same name."""
    return Source(part.at.bucket, part.at.key, part.etag, part.size)
