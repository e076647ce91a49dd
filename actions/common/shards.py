"""The split: which shard each training example belongs to, and which examples validate; pure arithmetic.

Used by the planner (sizes) and the splitter. Never contiguous: files are often sorted by label.
"""

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

Groups = NDArray[np.int64]  # each example's class, (examples,)
CLASSES = 10_000  # more distinct labels than this are numbers, not classes
SPLIT = 1  # stream of the seed, apart from the shuffles


def deal(groups: Groups | None, examples: int, seed: int) -> NDArray[np.int64]:
    """Return the order `(examples,)` in which examples are dealt: shuffled, then by class where there are classes."""
    order = np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, SPLIT]))).permutation(examples)
    return order if groups is None else order[np.argsort(groups[order], kind="stable")]


def class_numbers(blocks: Iterable[NDArray[np.generic]]) -> Groups | None:
    """Return each example's class from blocks of labels: class numbers or one-hot rows; None where they are neither.

    Labels themselves are never held: they may be as large as the examples.
    """
    found = []
    for labels in blocks:
        if labels.ndim == 2 and labels.shape[1] > 1 and is_one_hot(labels):
            found.append(np.asarray(np.argmax(labels, axis=1), np.int64))
        elif labels.dtype.kind in "iub" and labels.size == len(labels):
            found.append(labels.ravel().astype(np.int64))
        else:
            return None
    values, numbers = np.unique(np.concatenate(found), return_inverse=True)
    return np.asarray(numbers, np.int64) if len(values) <= CLASSES else None


def is_one_hot(labels: NDArray[np.generic]) -> bool:
    """Return whether every row holds one 1 and zeros."""
    return bool(np.all((labels == 0) | (labels == 1)) and np.all(np.count_nonzero(labels, axis=1) == 1))


def validation_count(examples: int, fraction: float) -> int:
    """Return how many examples a fraction holds out: at least 1, and at least 1 is left."""
    return min(max(1, int(examples * fraction)), examples - 1)


def shard_counts(examples: int, workers: int) -> list[int]:
    """Return each shard's size; sizes differ by one at most."""
    return [examples // workers + (shard < examples % workers) for shard in range(workers)]


def assign(groups: Groups | None, examples: int, workers: int, seed: int, fraction: float | None) -> NDArray[np.int64]:
    """Return each example's shard `(examples,)`, -1 for those that validate; every class is spread evenly."""
    shard = np.empty(examples, np.int64)
    order = deal(groups, examples, seed)
    if fraction is not None:
        held = validation_count(examples, fraction)
        place = np.arange(examples) * held // examples
        chosen = np.diff(place, append=held) > 0  # one of every `examples / held` in class order
        shard[order[chosen]] = -1
        order = order[~chosen]
    shard[order] = np.arange(len(order)) % workers
    return shard
