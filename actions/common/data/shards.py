"""The split: which shard each training example belongs to, and which examples validate; pure arithmetic.

Used by the planner (sizes) and the splitter. Never contiguous: files are often sorted by label.
"""

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

Groups = NDArray[np.uint16]  # each example's class, (examples,)
CLASSES = 10_000  # more distinct labels than this are numbers, not classes
SPLIT = 1  # stream of the seed, apart from the shuffles
BLOCK = 1 << 17  # examples counted at once


def shuffled(examples: int, seed: int) -> NDArray[np.int32]:
    """Return the order `(examples,)` in which examples are dealt; in 32 bits, for there may be millions."""
    order = np.arange(examples, dtype=np.int32)
    np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, SPLIT]))).shuffle(order)
    return order


def class_numbers(blocks: Iterable[NDArray[np.generic]]) -> Groups | None:
    """Return each example's class from blocks of labels: class numbers or one-hot rows; None where they are neither.

    Labels themselves are never held: they may be as large as the examples. Classes are numbered in the labels' order.
    """
    known: dict[int, int] = {}  # label: its number in the order of appearance
    found = bytearray()  # grows in place; a list of blocks would leave as much behind, in pieces
    for labels in blocks:
        named = class_labels(labels)
        if named is None:
            return None
        values, places = np.unique(named, return_inverse=True)
        numbers = [known.setdefault(int(value), len(known)) for value in values]
        if len(known) > CLASSES:
            return None
        found += np.array(numbers, np.uint16)[places].tobytes()
    rank = np.empty(len(known), np.uint16)
    rank[[known[label] for label in sorted(known)]] = np.arange(len(known), dtype=np.uint16)
    groups = np.frombuffer(found, np.uint16)
    for first in range(0, len(groups), BLOCK):
        groups[first : first + BLOCK] = rank[groups[first : first + BLOCK]]
    return groups


def class_labels(labels: NDArray[np.generic]) -> NDArray[np.generic] | None:
    """Return the class number of each row, None where the rows are neither classes nor one-hot."""
    if labels.ndim == 2 and labels.shape[1] > 1 and is_one_hot(labels):
        return np.asarray(np.argmax(labels, axis=1))
    return labels.ravel() if labels.dtype.kind in "iub" and labels.size == len(labels) else None


def class_sizes(groups: Groups) -> NDArray[np.int64]:
    """Return how many examples each class has; NumPy's own count widens all of them at once."""
    sizes = np.zeros(int(groups.max()) + 1, np.int64)
    for first in range(0, len(groups), BLOCK):
        sizes += np.bincount(groups[first : first + BLOCK], minlength=len(sizes))
    return sizes


def is_one_hot(labels: NDArray[np.generic]) -> bool:
    """Return whether every row holds one 1 and zeros."""
    return bool(np.all((labels == 0) | (labels == 1)) and np.all(np.count_nonzero(labels, axis=1) == 1))


def held_count(examples: int, fraction: float) -> int:
    """Return how many examples a fraction holds out: at least 1, and at least 1 is left."""
    return min(max(1, int(examples * fraction)), examples - 1)


def shard_counts(examples: int, workers: int) -> list[int]:
    """Return each shard's size; sizes differ by one at most."""
    return [examples // workers + (shard < examples % workers) for shard in range(workers)]


def assign(
    groups: Groups | None,
    examples: int,
    workers: int,
    seed: int,
    held: Sequence[int] = (),
    fixed: NDArray[np.int8] | None = None,
) -> NDArray[np.int8]:
    """Return each example's shard `(examples,)`, -1 for the first held-out set, -2 for the next; classes are spread.

    `held`: examples of each held-out set; or `fixed`: those that have a set already, 0 for the others. They are dealt
    in shuffled order, class after class where there are classes; a set takes one of every `left / held` that the sets
    before it left. Seven bytes an example are held: its place in the order, its class, its shard.
    """
    shard, order, free = np.empty(examples, np.int8), shuffled(examples, seed), groups
    if fixed is not None:
        shard, order = fixed.copy(), order[fixed[order] == 0]
        free = None if groups is None else groups[fixed == 0]
    sizes = None if free is None else class_sizes(free)
    for dealt, place in dealing(groups, order, sizes):
        owner, left = np.zeros(len(dealt), np.int8), len(order)
        for number, count in enumerate(held, 1):
            chosen = (owner == 0) & ((place + 1) * count // left > place * count // left)
            owner[chosen] = -number
            place, left = place - place * count // left, left - count
        shard[dealt] = np.where(owner < 0, owner, place % workers)
    return shard


def dealing(
    groups: Groups | None, order: NDArray[np.int32], sizes: NDArray[np.int64] | None
) -> Iterator[tuple[NDArray[np.int32], NDArray[np.int64]]]:
    """Yield examples and their places in the dealing, block by block: a stable sort by class, counted."""
    after = None if sizes is None else np.cumsum(sizes) - sizes  # a class's next place
    for first in range(0, len(order), BLOCK):
        dealt = order[first : first + BLOCK]
        if groups is None or after is None:
            yield dealt, np.arange(first, first + len(dealt))
            continue
        classes = groups[dealt]
        by_class = np.argsort(classes, kind="stable")
        counts = np.bincount(classes, minlength=len(after))
        within = np.arange(len(dealt)) - np.repeat(np.cumsum(counts) - counts, counts)
        yield dealt[by_class], np.repeat(after, counts) + within
        after += counts
