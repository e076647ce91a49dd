"""Examples dealt out: the training set into shards and held-out sets, each array into a file; used by the splitter."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from itertools import chain
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from common.data import shards
from common.data.arrays import Array, stored_names
from common.data.dataset import Dataset
from common.data.groups import Held
from common.errors import ParameterError
from common.plan.plan import HeldOut, Plan
from common.split import weights
from common.split.checks import Rows, checked_rows
from common.split.slices import header
from common.storage import keys

WEIGHT = "weight"
Blocks = Iterator[tuple[int, Rows]]  # the first example of each, and its rows


@dataclass(frozen=True)
class Deal:
    """A set's rows, and who gets each: `owner` `(examples,)`, of `targets`, which are {owner: {array: its key}}."""

    arrays: Mapping[str, Array]
    owner: NDArray[np.int8]
    targets: Mapping[int, Mapping[str, str]]
    rows: Callable[[int], Blocks]  # from an example on


def training(plan: Plan, dataset: Dataset, groups: shards.Groups | None) -> Deal:
    """Return how the training set becomes shards, and the sets that are dealt out of it."""
    dealt = [held for held in plan.held if held.pair is None]
    fixed = owners_of_groups(plan, dataset, dealt) if plan.train.group and dealt else None
    counts = [held.examples for held in dealt] if fixed is None else []
    owner = shards.assign(groups, plan.train.examples, plan.workers, plan.seed, counts, fixed)
    targets = {lane: {one: keys.shard_key(lane, one) for one in plan.arrays} for lane in range(plan.workers)}
    targets |= {-number: set_keys(plan, held.name) for number, held in enumerate(dealt, 1)}
    arrays = plan.train.data()
    if not plan.weighted:
        return Deal(arrays, owner, targets, partial(checked_rows, dataset, arrays, classes(plan)))
    read = {**arrays, WEIGHT: plan.train.weight} if plan.train.weight else arrays
    weighs = weighing(plan, dataset, groups, owner)
    weight = Array(WEIGHT, owner.shape, "<f4")

    def rows(begin: int) -> Blocks:
        return weighted(checked_rows(dataset, read, classes(plan), begin), weighs)

    return Deal({**arrays, WEIGHT: weight}, owner, targets, rows)


def copied(plan: Plan, dataset: Dataset, held: HeldOut) -> Deal:
    """Return how a held-out set becomes objects that is none of the training set's."""
    assert held.pair is not None
    arrays, everyone = held.pair.data(), np.broadcast_to(np.int8(0), (held.examples,))
    return Deal(arrays, everyone, {0: set_keys(plan, held.name)}, partial(checked_rows, dataset, arrays, classes(plan)))


def set_keys(plan: Plan, name: str) -> dict[str, str]:
    """Return the keys of a held-out set's arrays."""
    return {array: keys.part_key(name, array) for array in plan.held_arrays}


def class_numbers(plan: Plan, dataset: Dataset) -> shards.Groups | None:
    """Return the class of each example `(examples,)` by the first labels that are classes, None where none are."""
    return next((found for name in labels(plan) if (found := numbered(plan, dataset, name)) is not None), None)


def numbered(plan: Plan, dataset: Dataset, name: str) -> shards.Groups | None:
    """Return the class of each example `(examples,)` by some labels, None where these are no classes."""
    named = classes(plan)
    blocks = (rows[name] for _, rows in checked_rows(dataset, {name: labels(plan)[name]}, named))
    return shards.class_numbers(rows.astype(np.int64, copy=False) if name in named else rows for rows in blocks)


def labels(plan: Plan) -> dict[str, Array]:
    """Return the labels of the training set by the names that stored arrays have."""
    return dict(zip(stored_names("y", len(plan.train.y)), plan.train.y, strict=True))


def classes(plan: Plan) -> dict[str, int]:
    """Return how many classes labels may name, of those that are class numbers and may not be any."""
    pairs = zip(labels(plan), plan.model.labelled, strict=True)
    return {name: output.classes for name, output in pairs if output.sparse and output.classes}


def owners_of_groups(plan: Plan, dataset: Dataset, dealt: list[HeldOut]) -> NDArray[np.int8]:
    """Return the held-out set of each example by its group `(examples,)`, 0 for those to train on."""
    group = plan.train.group
    assert group is not None
    fractions = [held.fraction or 0.0 for held in dealt]
    chosen = Held(group.name, (rows for (rows,) in dataset.batches([group])), fractions, plan.seed)
    return np.concatenate([chosen.owners(rows) for (rows,) in dataset.batches([group])])


def weighing(plan: Plan, dataset: Dataset, groups: shards.Groups | None, owner: NDArray[np.int8]) -> weights.Weights:
    """Return what examples weigh in the loss; ParameterError for weights of classes where there are none."""
    asked = plan.parameters["class_weight"]
    if not asked:
        return weights.Weights()
    if groups is None:
        raise ParameterError("class_weight: got a value, expected none, as the labels are no classes")
    if asked == "balanced":
        return weights.Weights(weights.balanced(groups, owner), groups)
    (label,) = plan.columns.labels  # the planner refuses weights of classes where there are several
    names: Sequence[str] = label.classes or ()
    if not names:
        names = weights.class_names(rows["y"] for _, rows in checked_rows(dataset, labels(plan), {}))
    return weights.Weights(weights.given(asked, names), groups)


def weighted(blocks: Blocks, weighs: weights.Weights) -> Blocks:
    """Yield rows with what each example weighs; that of its own, where there is one, is in the rows that came."""
    for first, rows in blocks:
        yield first, {**rows, WEIGHT: weighs.of(first, count(rows), rows.get(WEIGHT))}


def count(rows: Rows) -> int:
    """Return how many rows there are, in every array as many."""
    return len(next(iter(rows.values())))


def between(blocks: Blocks, ends: Iterable[int]) -> Iterator[Blocks]:
    """Yield the rows up to each of some ends, in order, which are all used before the next."""
    held: list[tuple[int, Rows]] = []

    def until(end: int) -> Blocks:
        for first, rows in chain(held[:], blocks):
            held.clear()
            last = first + count(rows)
            if last > end:
                held.append((end, {name: one[end - first :] for name, one in rows.items()}))
            if first < end:
                yield first, {name: one[: end - first] for name, one in rows.items()}
            if last >= end:
                return

    for end in ends:
        yield until(end)


def deal_out(deal: Deal, blocks: Blocks, folder: Path, begin: int = 0) -> dict[str, Path]:
    """Stream rows from example `begin` on into a file per owner and array; return {key: file}.

    Where they begin with the first example, the file begins with the head of the whole array.
    """
    targets = deal.targets
    files = {(who, name): folder / key.replace("/", "-") for who, own in targets.items() for name, key in own.items()}
    counts = {} if begin else {who: int(np.count_nonzero(deal.owner == who)) for who in targets}
    with ExitStack() as stack:
        opened = {place: stack.enter_context(path.open("wb")) for place, path in files.items()}
        for (who, name), file in opened.items():
            file.write(b"" if begin else header(deal.arrays[name], counts[who]))
        for first, rows in blocks:
            mine = deal.owner[first : first + count(rows)]
            for (who, name), file in opened.items():
                file.write(np.ascontiguousarray(rows[name][mine == who]).data)
    return {targets[who][name]: path for (who, name), path in files.items()}
