"""One turn of a run's driver: what came of the last wave, and the next wave, or the end; used by the reducer.

Whatever a wave returned, or however it died, the store decides: a slice whose model state is missing is tried again.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Self

from common.errors import RunError
from common.plan.plan import Plan
from common.rounds import last_averages, lease, ledger, pace, rejection, rounds, shares, steering, stopping, warm_up
from common.rounds.ledger import Slice, Wave
from common.rounds.rounds import Refusals, Round
from common.rounds.throttle import Throttle
from common.storage import keys
from common.storage.beat import beating
from common.storage.run import Run

POLL_SECONDS = 1.0
RESERVE_SECONDS = 60.0  # of the reducer's own time, for averages and for the next wave


@dataclass
class Turn:
    """What the composition knows when it calls the reducer."""

    driver: str
    wave: int | None  # the last wave that this driver started
    items: list[Any]  # what that wave returned
    lost: str | None  # why it returned nothing
    until: float  # epoch seconds at which this activation must have ended
    limits: pace.Limits
    now: Callable[[], float] = time.time
    sleep: Callable[[float], None] = time.sleep
    started: float = field(init=False)

    def __post_init__(self) -> None:
        self.started = self.now()

    @classmethod
    def of(cls, args: Mapping[str, Any], until: float, limits: pace.Limits) -> Self:
        """Return the turn that an action's parameters ask for."""
        lost = args.get("lost")
        said = None if lost is None else str(lost)
        return cls(args.get("driver", ""), args.get("wave"), args.get("items") or [], said, until, limits)

    @contextmanager
    def working(self, run: Run) -> Iterator[None]:
        """Let people see that a run is worked on; take it out of the throttle where an error ends it for good."""
        try:
            with beating(run):
                yield
        except RunError:
            Throttle(run.objects, run.name, self.limits).leave(self.now())
            raise


def take(run: Run, plan: Plan, turn: Turn) -> tuple[Wave | None, bool]:
    """Close what is whole and write the next wave; return it (None: nothing to start now) and whether work is left."""
    refuse_cancelled(run)
    ledger.check_mendable(turn.lost)
    newest, seen = ledger.newest(run), None
    while newest and newest != seen and must_wait(newest, turn):
        if not wait(run, plan, newest, turn):
            return None, True
        newest, seen = ledger.newest(run), newest
    found, refused = advance(run, plan, newest, turn.now())
    if found is None:
        Throttle(run.objects, run.name, turn.limits).leave(turn.now())
        return None, False
    return write(run, plan, newest, next_slices(run, plan, found, turn, refused), turn), True


def refuse_cancelled(run: Run) -> None:
    """Raise RunError when somebody has cancelled the run."""
    if run.find_json(keys.CANCEL) is not None:
        raise RunError(f"run {run.name} was cancelled")


def must_wait(newest: Wave, turn: Turn) -> bool:
    """Return whether the newest wave may still be running: another driver's, or mine that was lost on the way."""
    if newest.driver != turn.driver:
        return True
    if newest.wave != turn.wave:
        return False  # written by a twin of this activation that died before the composition could start it
    return turn.lost is not None and not ledger.never_began(turn.lost)


def wait(run: Run, plan: Plan, newest: Wave, turn: Turn) -> bool:
    """Wait until a wave's slices are saved, its lease ended, or it is no longer the newest; False: out of time."""
    while turn.now() < (newest.deadline if newest.driver == turn.driver else lease.end(run, newest)):
        if over(run, plan, newest):
            return True
        if newest.driver == turn.driver:
            lease.renew(run, newest, turn.now())
        if turn.now() > turn.until - RESERVE_SECONDS:
            return False
        turn.sleep(POLL_SECONDS)
    return True


def over(run: Run, plan: Plan, wave: Wave) -> bool:
    """Return whether nothing more need come of a wave: its slices are saved, or the run has gone on without it."""
    found = rounds.look(run, plan, wave.round)
    whole = not {piece.lane for piece in wave.slices} & {piece.lane for piece in rounds.pending(plan, found)}
    return whole or found.closed or ledger.find(run, wave.wave + 1) is not None


def look(run: Run, plan: Plan, number: int | None, now: float) -> bool:
    """Tell a join, whose driver so lives, whether its wave is over, by the store; None: the warm-up."""
    if number is None:
        return warm_up.ended(run, plan)
    wave = ledger.find(run, number)
    if wave is None or over(run, plan, wave):
        return wave is not None
    lease.renew(run, wave, now)
    return False


def advance(run: Run, plan: Plan, newest: Wave | None, now: float) -> tuple[Round | None, Refusals]:
    """Close every whole round from the newest wave's on; return the first that is not, None when the run is trained.

    What lanes left and cannot be believed is put aside: which lanes, and why.
    """
    number, refused = newest.round if newest else 0, Refusals()
    while found := rounds.current(run, plan, number):
        if not (newest and newest.round >= found.number) and steering.decide(run, plan, found.number, now):
            continue  # to the evaluation
        whole, number = not rounds.pending(plan, found), found.number
        odd = rounds.close(run, plan, found) if whole else rounds.doubtful(run, plan, found)
        if not whole and not odd:
            last_averages.keep(run, plan, found)
            return found, refused
        for lane, reason in odd.items():
            left = [keys.state_key(number, *at) for at in found.sizes if at[0] == lane]
            rejection.reject(run, newest, number, lane, reason, left)  # all: a late state is made from earlier ones
        refused |= odd
    return evaluated(run, plan, newest, now)


def evaluated(run: Run, plan: Plan, newest: Wave | None, now: float) -> tuple[Round | None, Refusals]:
    """Return the evaluation, where it is not over, and which lanes' shares cannot be believed; None where all can.

    It is not over where an earlier average turns out to be better than the last one; else that one's file is final.
    """
    final, file, odd = stopping.end(run, plan).state, shares.file(run, plan), shares.refused(run, plan)
    for lane, reason in odd.items():
        left = [keys.scores_key(final, lane), *([file] if lane == 0 else [])]
        rejection.reject(run, newest, plan.rounds, lane, reason, left)
    if odd:
        return rounds.evaluation(run, plan), odd
    if steering.chooses(plan) and steering.choose(run, plan, shares.collect(run, plan)):
        return advance(run, plan, newest, now)
    run.move(keys.final_key(final), keys.FINAL)
    return None, odd


def next_slices(run: Run, plan: Plan, found: Round, turn: Turn, refused: Refusals) -> list[Slice]:
    """Return the slices of the next wave, attempts counted; RunError when one has failed too often."""
    mine = ledger.find(run, turn.wave) if turn.wave is not None else None
    reasons = ledger.outcome(mine, turn.items, turn.lost)
    before = {piece.lane: piece for piece in mine.slices} if mine else {}
    wanted = rounds.pending(plan, found)[: turn.limits.lanes]
    return [
        refusal(run, piece, before.get(piece.lane), refused[piece.lane])
        if piece.lane in refused
        else ledger.retried(piece, before.get(piece.lane), reasons.get(piece.lane), plan)
        for piece in wanted
    ]


def refusal(run: Run, wanted: Slice, before: Slice | None, reason: str) -> Slice:
    """Return the slice to try next of a lane that was refused."""
    return ledger.refused(wanted, before, reason, rejection.times(run, wanted.round, wanted.lane))


def write(run: Run, plan: Plan, newest: Wave | None, wanted: list[Slice], turn: Turn) -> Wave | None:
    """Wait for room and write the next wave's document, of as many slices as there is room for.

    None when there was none in time, or when another driver took the wave's number meanwhile.
    """
    if newest is None:
        warm_up.wait(run, plan, turn.now, turn.sleep)
    late = any(ledger.too_slow(item) for item in turn.items)
    seconds = pace.allowance(expected(run, plan, wanted), newest, late)
    granted = room(run, len(wanted), seconds, turn)
    issued = turn.now()
    wave = Wave(
        wave=newest.wave + 1 if newest else 0,
        driver=turn.driver,
        issued=issued,
        deadline=issued + seconds,
        slices=tuple(wanted[:granted]),
        reducer_seconds=round(issued - turn.started, 3),
    )
    return wave if granted and ledger.create(run, wave) else None


def room(run: Run, wanted: int, seconds: float, turn: Turn) -> int:
    """Wait until the throttle lets branches pass; return how many, 0 when this turn has no time left."""
    throttle = Throttle(run.objects, run.name, turn.limits)
    granted, pause = 0, 0.0
    if turn.lost is not None and ledger.throttled(turn.lost):  # somebody else's invocations
        pause = throttle.pause(turn.now(), full=ledger.MINUTE in turn.lost)
    while turn.now() + pause < turn.until - RESERVE_SECONDS and not granted:
        turn.sleep(pause)
        granted, pause = throttle.take(wanted, seconds, turn.now())
    return granted


def expected(run: Run, plan: Plan, wanted: list[Slice]) -> float | None:
    """Return how many seconds the wave's longest slice should take; None where nothing has been measured.

    By the round before; in the first round, by the step of a warm trainer.
    """
    number = wanted[0].round
    total = rounds.lengths(plan, number)
    longest = max(total(piece.lane) - piece.start for piece in wanted)
    if number == 0:
        step = warm_up.step_seconds(run, plan)
        return None if step is None else step * longest
    lanes = rounds.summaries(run, min(number, stopping.end(run, plan).rounds))
    if number == plan.rounds:  # to evaluate an example takes less than to train on it
        example = max(lane["activation_seconds"] / max(1, lane["examples"]) for lane in lanes)
        return float(example * -(-plan.held_out // plan.shares))
    return float(longest * max(lane["activation_seconds"] / max(1, lane["step"]) for lane in lanes))
