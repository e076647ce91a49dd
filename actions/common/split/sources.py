"""The objects that a plan was made for, opened again to be split; used by the splitter."""

from dataclasses import replace

import numpy as np

from common.data import shards
from common.data.arrays import Pair
from common.data.columns import Asked, Columns
from common.data.dataset import Dataset, open_dataset, part_of
from common.errors import RunError
from common.plan.plan import Plan, Source
from common.split import dealing
from common.split.dealing import Deal
from common.split.slices import TRAINING
from common.storage.objects import Location
from common.storage.run import Run


def deal(run: Run, plan: Plan, name: str) -> tuple[Deal, list[str]]:
    """Open the training set, or a held-out set by its name; return how it is dealt, and warnings.

    RunError where an object has been replaced since it was planned.
    """
    dataset = reopen(run, "dataset", plan.dataset, plan.columns, plan.train)
    if name == TRAINING:
        groups = dealing.class_numbers(plan, dataset)
        return dealing.training(plan, dataset, groups), thin_classes(groups, plan.workers)
    held = next(one for one in plan.held if one.name == name)
    assert held.pair is not None
    if held.sources:
        columns = replace(plan.columns, weight=None, group=None)
        dataset = reopen(run, held.name, held.sources, columns, held.pair)
    return dealing.copied(plan, dataset, held), []


def thin_classes(groups: shards.Groups | None, workers: int) -> list[str]:
    """Return a warning when some class has fewer examples than there are lanes."""
    if groups is None:
        return []
    thin = int(np.count_nonzero(shards.class_sizes(groups) < workers))
    return [f"{thin} classes have fewer examples than workers ({workers}): some lanes never see them"] if thin else []


def check_all(run: Run, plan: Plan) -> None:
    """Refuse objects of which one has been replaced since they were planned."""
    for source in (*plan.dataset, *(one for held in plan.held for one in held.sources or ())):
        check_same(run, source)


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
