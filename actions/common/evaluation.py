"""The evaluation's result: what the lanes found on their shares of the held-out set, as one; used by the evaluator."""

import json
import math
from collections.abc import Sequence
from typing import Any

from common import rounds
from common import run as keys
from common.errors import RunError
from common.plan import Plan
from common.run import Run

Share = dict[str, Any]  # what a lane left: scores, sums, weights_sha256, seconds, memory in bytes


def told(this: Run, plan: Plan) -> list[Share]:
    """Return what the lanes found, lane by lane; RunError when some have not judged their share."""
    found = rounds.look(this, plan, plan["rounds"])
    if not found.closed:
        got = sum(found.steps.values())
        raise RunError(f"run {this.name}: got {got} of {plan['judges']} shares of the held-out set, expected all")
    return [json.loads(this.objects.read(this.at(keys.scores_key(lane)))) for lane in found.steps]


def merged(shares: Sequence[Share]) -> dict[str, Any]:
    """Return loss and metrics of the whole set: totals over counts; one share that is the whole, as it is."""
    if len(shares) == 1:
        return dict(shares[0]["scores"])
    return {name: mean([share["sums"][name] for share in shares]) for name in shares[0]["scores"]}


def mean(sums: Sequence[Sequence[float]]) -> float | None:
    """Return the quotient of totals and counts, None where it is no finite number."""
    found = sum(total for total, _ in sums) / sum(count for _, count in sums)
    return found if math.isfinite(found) else None
