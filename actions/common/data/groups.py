"""Groups of rows that stay on one side of a split: all pictures of a patient, all days of a machine.

Used by planner (how many rows each held-out set has) and splitter (which ones); the same groups for the same seed.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from common.data.shards import held_count
from common.errors import DatasetError

GROUPS = 200_000  # held by name, in memory
SEED = 2  # stream of the seed, apart from the split's and the shuffles'


class Held:
    """Which groups each held-out set has, -1 for the first, -2 for the next; chosen by the seed.

    A set takes whole groups until it has its fraction of the rows; a group is left to train on.
    """

    def __init__(self, column: str, blocks: Iterable[NDArray[Any]], fractions: Sequence[float], seed: int) -> None:
        sizes: Counter[Any] = Counter()
        for values in blocks:
            sizes.update(values.tolist())
            if len(sizes) > GROUPS:
                raise DatasetError(f"group: column {column} has more than {GROUPS} groups, expected fewer")
        if len(sizes) <= len(fractions):
            got = f"column {column} has {len(sizes)} groups"
            raise DatasetError(
                f"group: {got}, expected one for each of {len(fractions)} held-out sets and one to train on"
            )
        self.owner: dict[Any, int] = {}
        self.counts = [0] * len(fractions)
        self._choose(sizes, [held_count(sizes.total(), fraction) for fraction in fractions], seed)

    def _choose(self, sizes: Counter[Any], wanted: Sequence[int], seed: int) -> None:
        names = sorted(sizes)
        order = np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, SEED]))).permutation(len(names))
        place = 0
        for k, count in enumerate(wanted):
            others = len(wanted) - k  # a group for each set that follows, and one to train on
            while self.counts[k] < count and place < len(names) - others:
                name = names[order[place]]
                self.owner[name], place = -1 - k, place + 1
                self.counts[k] += sizes[name]

    def owners(self, values: NDArray[Any]) -> NDArray[np.int8]:
        """Return the held-out set of each row's group `(rows,)`, 0 for a row to train on."""
        return np.array([self.owner.get(value, 0) for value in values.tolist()], np.int8)
