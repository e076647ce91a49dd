"""What the averages' scores decide: when training ends, at which rate a round trains, which average is the final model.

Used by the reducer and by reports. All follows from the store, so that whoever drives the run decides the same; where
the clock or the evaluation has a part in it, who is first writes it down.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict

from common.plan.plan import Plan
from common.rounds import plateau, rounds, shares, stopping
from common.rounds.shares import Share
from common.rounds.stopping import Scores, Stop
from common.storage import keys
from common.storage.run import Run

LOSS = {"monitor": "loss", "mode": "min"}  # looked at where nobody said at what

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


def chooses(plan: Plan) -> bool:
    """Return whether the last average has to be the best one on the validation set to be the final model."""
    return bool(plan.parameters["keep_best"] or (plan.parameters["average_last"] and plan.parameters["validation"]))


def choose(run: Run, plan: Plan, found: Sequence[Share]) -> bool:
    """Return whether another average is better than the one that was evaluated: then that is evaluated, too.

    `found`: the lanes' shares. What a rule has ended, or was chosen before, stays.
    """
    stop = stopping.end(run, plan)
    if stop.final != stop.rounds or not (last := shares.last(found, stop)) or run.find_json(keys.BEST):
        return False
    kept = better(run, plan, stop, last, shares.sampled(found))
    if kept:
        run.create_json(keys.BEST, asdict(kept))
    return kept is not None


def better(run: Run, plan: Plan, stop: Stop, last: dict[str, float], evaluated: Mapping[str, float]) -> Stop | None:
    """Return the end with the average that did best, of equals the latest; None for the one that was evaluated."""
    rule = plan.parameters["keep_best"]
    by = rule or LOSS
    known = {**(scores(run, plan, stop.rounds) if rule else {}), stop.rounds: last}
    best, reason = stopping.kept_best(by, known, stop.rounds) or (stop.rounds, "")
    if stop.averaged > 1:
        if stopping.worth(by, evaluated) >= stopping.worth(by, known[best]):
            return None
        both = [f"{one[by['monitor']]:.6g}" for one in (evaluated, known[best])]
        reason = f"val_{by['monitor']} of the last {stop.averaged} averages together is {both[0]}"
        reason = f"average_last: {reason}, of round {best - 1} it is {both[1]}"
    elif best == stop.rounds:
        return None
    return Stop(stop.rounds, best, reason, dict(last))
