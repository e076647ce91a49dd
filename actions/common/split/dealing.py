"""Examples dealt out: the training set into shards and held-out sets, each array into a file; used by the splitter."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from common.data import shards
from common.data.arrays import Array, stored_dtype
from common.data.dataset import Dataset
from common.data.groups import Held
from common.errors import ParameterError
from common.plan.plan import HeldOut, Plan
from common.split import weights
from common.split.checks import Rows, checked_rows
from common.storage import keys

WEIGHT = "weight"


def deal_shards(plan: Plan, dataset: Dataset, groups: shards.Groups | None, folder: Path) -> dict[str, Path]:
    """Write the training set's shards, and the sets that are dealt out of it; return {key: file}."""
    dealt = [held for held in plan.held if held.pair is None]
    fixed = owners_of_groups(plan, dataset, dealt) if plan.train.group and dealt else None
    counts = [held.examples for held in dealt] if fixed is None else []
    owner = shards.assign(groups, plan.train.examples, plan.workers, plan.seed, counts, fixed)
    wanted = plan.train.data()
    targets = {lane: {one: keys.shard_key(lane, one) for one in plan.arrays} for lane in range(plan.workers)}
    targets |= {-number: set_keys(plan, held.name) for number, held in enumerate(dealt, 1)}
    if not plan.weighted:
        return deal_out(checked_rows(dataset, wanted, classes(plan)), wanted, owner, targets, folder)
    own = {WEIGHT: plan.train.weight} if plan.train.weight else {}
    rows = weighted(checked_rows(dataset, {**wanted, **own}, classes(plan)), weighing(plan, dataset, groups, owner))
    wanted[WEIGHT] = Array(WEIGHT, owner.shape, "<f4")
    return deal_out(rows, wanted, owner, targets, folder)


def copy_set(plan: Plan, dataset: Dataset, held: HeldOut, folder: Path) -> dict[str, Path]:
    """Write the arrays of a held-out set that is none of the training set's; return {key: file}."""
    assert held.pair is not None
    arrays, everyone = held.pair.data(), np.broadcast_to(np.int8(0), (held.examples,))
    rows = checked_rows(dataset, arrays, classes(plan))
    return deal_out(rows, arrays, everyone, {0: set_keys(plan, held.name)}, folder)


def set_keys(plan: Plan, name: str) -> dict[str, str]:
    """Return the keys of a held-out set's arrays."""
    return {array: keys.part_key(name, array) for array in plan.held_arrays}


def class_numbers(plan: Plan, dataset: Dataset) -> shards.Groups | None:
    """Return the class of each example `(examples,)`, None where labels are no classes."""
    named = classes(plan)
    blocks = (rows["y"] for _, rows in checked_rows(dataset, {"y": plan.train.y}, named))
    return shards.class_numbers(rows.astype(np.int64, copy=False) if named else rows for rows in blocks)


def classes(plan: Plan) -> int | None:
    """Return how many classes the labels may name, None where they are no class numbers or may be any."""
    return plan.model.classes if plan.model.loss.startswith("sparse_categorical") else None


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
    names: Sequence[str] = plan.columns.classes or ()
    if not names:
        names = weights.class_names(rows["y"] for _, rows in checked_rows(dataset, {"y": plan.train.y}, None))
    return weights.Weights(weights.given(asked, names), groups)


def weighted(blocks: Iterable[tuple[int, Rows]], weighs: weights.Weights) -> Iterator[tuple[int, Rows]]:
    """Yield rows with what each example weighs; that of its own, where there is one, is in the rows that came."""
    for first, rows in blocks:
        yield first, {**rows, WEIGHT: weighs.of(first, len(rows["y"]), rows.get(WEIGHT))}


def deal_out(
    blocks: Iterable[tuple[int, Rows]],
    arrays: Mapping[str, Array],
    owner: NDArray[np.int8],
    targets: Mapping[int, Mapping[str, str]],
    folder: Path,
) -> dict[str, Path]:
    """Stream rows, as stored, into one .npy file per owner and array; return {key: file}.

    `owner` `(examples,)`; `targets` are {owner: {array: its key}}.
    """
    files = {(who, name): folder / key.replace("/", "-") for who, own in targets.items() for name, key in own.items()}
    counts = {who: int(np.count_nonzero(owner == who)) for who in targets}
    with ExitStack() as stack:
        opened = {place: stack.enter_context(path.open("wb")) for place, path in files.items()}
        for (who, name), file in opened.items():
            shape, dtype = (counts[who], *arrays[name].shape[1:]), stored_dtype(arrays[name].dtype)
            np.lib.format.write_array_header_1_0(file, {"descr": dtype.str, "fortran_order": False, "shape": shape})
        for first, rows in blocks:
            mine = owner[first : first + len(rows["y"])]
            for (who, name), file in opened.items():
                file.write(rows[name][mine == who].tobytes())
    return {targets[who][name]: path for (who, name), path in files.items()}
