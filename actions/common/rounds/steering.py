"""What the averages' scores decide: when training ends, at which rate a round trains, which average is the final model.

Used by the reducer and by reports. All follows from the store, so that whoever drives the run decides the same; where
the clock or the evaluation has a part in it, who is first writes it down.
"""

from collections.abc import Iterable, Mapping
from dataclasses import asdict

from common.plan.plan import Plan
from common.rounds import plateau, rounds, stopping
from common.rounds.stopping import Scores, Stop
from common.storage import keys
from common.storage.run import Run

_known: dict[tuple[str, int], dict[str, float]] = {}  # a closed round's scores stay: token of the run, round -> scores


def scores(run: Run, plan: Plan, number: int) -> Scores:
    """Return what each average scored, by its number, that was evaluated before round `number` began."""
    evaluated = [after for after in range(1, number) if plan.validates(after)]
    remember(run, plan, [after for after in evaluated if (plan.token, after) not in _known])
    return {after: _known[plan.token, after] for after in evaluated}


def remember(run: Run, plan: Plan, numbers: Iterable[int]) -> None:
    """Read what these averages scored: a reducer's container that stays reads each once, however many rounds."""
    numbers = list(numbers)
    for number, lanes in zip(numbers, rounds.all_summaries(run, numbers), strict=True):
        _known[plan.token, number] = rounds.validation(lanes)


def decide(run: Run, plan: Plan, number: int, now: float) -> bool:
    """Return whether training ends before this round, by its averages so far; who sees it first writes it down."""
    if not stopping.is_asked(plan.parameters) or not 0 < number < plan.rounds:
        return False
    stop = stopping.decided(plan.parameters, number, scores(run, plan, number), now - plan.created)
    if stop:
        run.create_json(keys.STOP, asdict(stop))
    return stop is not None


def rate(run: Run, plan: Plan, number: int) -> float | None:
    """Return the learning rate of a round; None where it is what model or plan say."""
    found = rates(run, plan, number + 1)
    return found[-1] if found else None


def rates(run: Run, plan: Plan, count: int) -> list[float] | None:
    """Return the learning rates of the first rounds; None where they are what model or plan say."""
    rule = plan.parameters["reduce_on_plateau"]
    return plateau.rates(rule, plan.begun_rate, scores(run, plan, count - 1), count) if rule else None


def choose(run: Run, plan: Plan, last: Mapping[str, float]) -> bool:
    """Return whether an earlier average is better than the last one, which scored this: then it is to be evaluated."""
    rule, stop = plan.parameters["keep_best"], stopping.end(run, plan)
    if not rule or stop.final != stop.rounds or not last:
        return False
    found = {**scores(run, plan, stop.rounds), stop.rounds: last}
    kept = stopping.kept_best(rule, found, stop.rounds)
    if kept:
        reason = "; ".join([*([stop.reason] if stop.reason else []), kept[1]])
        run.create_json(keys.BEST, asdict(Stop(stop.rounds, kept[0], reason, dict(last))))
    return kept is not None
