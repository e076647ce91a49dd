"""The evaluation's result: what the lanes found on their shares of the held-out set, as one; used by the evaluator."""

import math
from collections.abc import Sequence
from typing import Any

from common.rounds.shares import Share


def merged(shares: int, found: Sequence[Share]) -> dict[str, Any]:
    """Return loss and metrics of the whole set: totals over counts; where it is one share, what a lane found."""
    if shares == 1:
        return dict(found[0]["scores"])
    return {name: mean([share["sums"][name] for share in found]) for name in found[0]["scores"]}


def mean(sums: Sequence[Sequence[float]]) -> float | None:
    """Return the quotient of totals and counts, None where it is no finite number."""
    found = sum(total for total, _ in sums) / sum(count for _, count in sums)
    return found if math.isfinite(found) else None
