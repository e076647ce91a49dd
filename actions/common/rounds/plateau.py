"""The learning rate of a round where it is lowered on plateaus, by the averages' scores; used by steering.

The score of an average is known when the round after it is closed, so a rate changes one round late.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from common.rounds.stopping import Scores, better, value


@dataclass(frozen=True)
class Standing:
    """Where a rule stands after some evaluations: the rate, the best value, evaluations without a better one."""

    rate: float
    best: float | None = None
    waited: int = 0
    cooling: int = 0  # evaluations that do not count any more


def rates(rule: Mapping[str, Any], begun: float, scores: Scores, count: int) -> list[float]:
    """Return the learning rate of each of the first rounds, as float32 holds it; `begun` is that of the first one.

    Origin: keras.callbacks.ReduceLROnPlateau.
    """
    sign = 1 if rule["mode"] == "max" else -1
    standing, found = Standing(narrow(begun)), []
    for number in range(count):
        if (known := scores.get(number - 1)) is not None:
            standing = after(rule, standing, sign * value(known, rule["monitor"], "reduce_on_plateau"))
        found.append(standing.rate)
    return found


def after(rule: Mapping[str, Any], standing: Standing, found: float) -> Standing:
    """Return where the rule stands after one more value, of which more is better."""
    if standing.cooling:
        standing = replace(standing, cooling=standing.cooling - 1, waited=0)
    if standing.best is None or better(found, standing.best, rule["min_delta"]):
        return replace(standing, best=found, waited=0)
    if standing.cooling:
        return standing
    waited = standing.waited + 1
    if waited < rule["patience"] or standing.rate <= narrow(rule["min_lr"]):
        return replace(standing, waited=waited)
    lower = narrow(max(standing.rate * rule["factor"], rule["min_lr"]))
    return replace(standing, rate=lower, waited=0, cooling=rule["cooldown"])


def narrow(number: float) -> float:
    """Return a number as the optimizer's variable holds it."""
    return float(np.float32(number))
