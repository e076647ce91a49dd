"""When training ends, and which average is the final model: the rules that a caller asked for; used by steering.

The score of an average is known when the round after it is closed, so a rule is met one round late: the final model is
the average that met it, and the round that was trained beyond it is left out.
"""

import operator
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from common.errors import RunError, shown
from common.plan.keras_names import direction
from common.plan.plan import Plan
from common.storage import keys
from common.storage.run import Run

RULES = ("early_stopping", "goal", "max_seconds")
Scores = Mapping[int, Mapping[str, float]]  # of each evaluated average, by how many rounds lead to it


@dataclass(frozen=True)
class Stop:
    """The end of training: how many rounds were trained, which average is the final model, and why, None as planned."""

    rounds: int
    final: int
    reason: str | None
    last: dict[str, float] | None = None  # what the last average scored, where it is not the final model
    averaged: int = 1  # averages that are averaged once more, the final one the last of them

    @property
    def state(self) -> str:
        """The key of the final model's state."""
        return keys.model_key(self.final) if self.averaged == 1 else keys.mean_key(self.final, self.averaged)


def end(run: Run, plan: Plan) -> Stop:
    """Return how training ends, as far as is known."""
    kept = plan.parameters["keep_best"] or plan.parameters["average_last"]
    asked = [(kept, keys.BEST), (is_asked(plan.parameters), keys.STOP)]
    held = next((found for wanted, key in asked if wanted and (found := run.find_json(key))), None)
    return Stop(**held) if held else whole(plan.parameters, plan.rounds, None)


def whole(parameters: Mapping[str, Any], trained: int, reason: str | None) -> Stop:
    """Return an end at the last average, averaged with those before it where that is asked for."""
    averaged = min(parameters["average_last"] or 1, trained)
    said = [f"average_last: the last {averaged} averages are averaged once more"] if averaged > 1 else []
    reasons = [*([reason] if reason else []), *said]
    return Stop(trained, trained, "; ".join(reasons) or None, averaged=averaged)


def is_asked(parameters: Mapping[str, Any]) -> bool:
    """Return whether there is any rule."""
    return any(parameters.get(name) for name in RULES)


def decided(parameters: Mapping[str, Any], trained: int, scores: Scores, seconds: float) -> Stop | None:
    """Return how training ends after so many rounds and seconds of the run; None where it goes on."""
    goal, patience, best = (parameters[name] for name in ("goal", "early_stopping", "keep_best"))
    met = (reached(goal, scores) if goal else None) or (stagnated(patience, scores) if patience else None)
    if met:
        final, reason = met
        kept = kept_best(best, scores, final) if best else None
        return Stop(trained, kept[0], f"{reason}; {kept[1]}") if kept else Stop(trained, final, reason)
    if (most := parameters["max_seconds"]) and seconds > most:
        return whole(parameters, trained, f"max_seconds: {most:g} were over after {trained} rounds")
    return None


def reached(goal: Mapping[str, float], scores: Scores) -> tuple[int, str] | None:
    """Return the first average that is good enough, and a sentence."""
    ((metric, enough),) = goal.items()
    fits = operator.ge if direction(metric) == "max" else operator.le
    for number, found in sorted(scores.items()):
        if fits(value(found, metric, "goal"), enough):
            return number, f"goal: val_{metric} of round {number - 1} is {found[metric]:.6g}, asked was {enough:g}"
    return None


def stagnated(rule: Mapping[str, Any], scores: Scores) -> tuple[int, str] | None:
    """Return the average at which patience ran out, and a sentence. Origin: keras.callbacks.EarlyStopping."""
    metric, sign = rule["monitor"], 1 if rule["mode"] == "max" else -1
    best, waited = None, 0
    for number, found in sorted(scores.items()):
        now = sign * value(found, metric, "early_stopping")
        if best is None or better(now, best, rule["min_delta"]):
            best, waited = now, 0
            continue
        waited += 1
        if waited >= rule["patience"]:
            said = f"val_{metric} was not better than {sign * best:.6g} in {waited} evaluations"
            return number, f"early_stopping: {said}, the last of round {number - 1}"
    return None


def better(value: float, best: float, by: float) -> bool:
    """Return whether a value is above the best by more than that. Origin: Keras compares them as float32."""
    return bool(np.float32(value - by) > np.float32(best))


def kept_best(rule: Mapping[str, Any], scores: Scores, final: int) -> tuple[int, str] | None:
    """Return the best average, of equals the latest, and a sentence; None where it is the final one."""
    metric = rule["monitor"]
    best = max(scores, key=lambda number: (worth(rule, scores[number]), number))
    if best == final:
        return None
    found = [f"{scores[number][metric]:.6g}" for number in (best, final)]
    return best, f"keep_best: val_{metric} of round {best - 1} is {found[0]}, of round {final - 1} it is {found[1]}"


def worth(rule: Mapping[str, Any], found: Mapping[str, float]) -> float:
    """Return what an average scored by the metric that is looked at: more is better."""
    return (1 if rule["mode"] == "max" else -1) * value(found, rule["monitor"], "keep_best")


def value(found: Mapping[str, float], metric: str, rule: str) -> float:
    """Return a metric's value; RunError where there is none of the name."""
    if metric not in found:
        raise RunError(f"{rule}: got the metric {shown(metric)[1:-1]}, expected one of {', '.join(sorted(found))}")
    return found[metric]
