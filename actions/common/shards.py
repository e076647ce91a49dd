"""The split: which shard each training example belongs to, and which examples validate; pure arithmetic.

Used by the planner (sizes) and the splitter. Never contiguous: files are often sorted by label.
"""

import numpy as np
from numpy.typing import NDArray

CLASSES = 10_000  # more distinct labels than this are numbers, not classes
SPLIT = 1  # stream of the seed, apart from the shuffles


def deal(labels: NDArray[np.generic], seed: int) -> NDArray[np.int64]:
    """Return the order `(examples,)` in which examples are dealt: shuffled, then by class where labels are classes."""
    order = np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, SPLIT]))).permutation(len(labels))
    groups = class_numbers(labels)
    return order if groups is None else order[np.argsort(groups[order], kind="stable")]


def class_numbers(labels: NDArray[np.generic]) -> NDArray[np.int64] | None:
    """Return each example's class `(examples,)`: class numbers or one-hot rows; None where labels are no classes."""
    if labels.ndim == 2 and labels.shape[1] > 1 and is_one_hot(labels):
        return np.asarray(np.argmax(labels, axis=1), np.int64)
    if labels.dtype.kind not in "iub" or labels.size != len(labels):
        return None
    found, numbers = np.unique(labels.ravel(), return_inverse=True)
    return np.asarray(numbers, np.int64) if len(found) <= CLASSES else None


def is_one_hot(labels: NDArray[np.generic]) -> bool:
    """Return whether every row holds one 1 and zeros."""
    return bool(np.all((labels == 0) | (labels == 1)) and np.all(np.count_nonzero(labels, axis=1) == 1))


def validation_count(examples: int, fraction: float) -> int:
    """Return how many examples a fraction holds out: at least 1, and at least 1 is left."""
    return min(max(1, int(examples * fraction)), examples - 1)


def shard_counts(examples: int, workers: int) -> list[int]:
    """Return each shard's size; sizes differ by one at most."""
    return [examples // workers + (shard < examples % workers) for shard in range(workers)]


def assign(labels: NDArray[np.generic], workers: int, seed: int, fraction: float | None) -> NDArray[np.int64]:
    """Return each example's shard `(examples,)`, -1 for those that validate; every class is spread evenly."""
    shard = np.empty(len(labels), np.int64)
    order = deal(labels, seed)
    if fraction is not None:
        held = validation_count(len(labels), fraction)
        place = np.arange(len(labels)) * held // len(labels)
        chosen = np.diff(place, append=held) > 0  # one of every `examples / held` in class order
        shard[order[chosen]] = -1
        order = order[~chosen]
    shard[order] = np.arange(len(order)) % workers
    return shard
