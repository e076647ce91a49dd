"""Waves of splitters: which slices of a large dataset are carried out next, side by side; used by the splitter.

As with the trainers' waves the store decides what is done, whatever a wave returned or however it was lost. Two drivers
of one run write the same pieces; nothing of a wave's document is a promise.
"""

from collections.abc import Sequence
from dataclasses import asdict
from itertools import pairwise
from typing import Any

from common.errors import RunError
from common.plan.plan import Plan
from common.rounds import drive, ledger
from common.rounds.drive import Turn
from common.rounds.ledger import ATTEMPTS, LONGEST_SECONDS
from common.split import pieces, split
from common.split import wave as waves
from common.split.slices import cut, is_small, is_whole, missing
from common.split.wave import NAME, Wave
from common.storage import keys
from common.storage.run import Run


def take(run: Run, plan: Plan, turn: Turn) -> tuple[list[dict[str, Any]], bool]:
    """Split a small dataset, or take what came of a wave and write the next one.

    Return the splitters' parameters, none where there is nothing to start now, and whether work is left.
    """
    drive.refuse_cancelled(run)
    data = plan.data(run.objects)
    data.create_json(keys.user_key(run.name), {"time": turn.now()})
    if is_whole(data, plan):
        split.take_over(run, plan)
        pieces.sweep(data)
        return [], False
    if is_small(plan):
        done = split.split(run, plan, turn.until, turn.now)
    else:
        ledger.check_mendable(turn.lost)
        slices = cut(plan)
        if lacking := set(missing(data, slices)):
            left = [number for number, piece in enumerate(slices) if piece in lacking]
            return begin(run, plan, left, turn), True
        done = split.put_together(run, plan, slices, turn.until, turn.now)
    if done:
        pieces.sweep(data)
    return [], not done


def begin(run: Run, plan: Plan, left: Sequence[int], turn: Turn) -> list[dict[str, Any]]:
    """Write the next wave's document, and return its splitters' parameters; none when there is no room in time."""
    earlier = waves.earlier(run)
    check_attempts(earlier, left, turn)
    wanted = min(len(left), plan.workers if plan.seekable else 1, turn.limits.lanes)
    if not (granted := drive.room(run, wanted, LONGEST_SECONDS, turn)):
        return []
    issued = turn.now()
    shares = tuple(tuple(share) for share in shared(left, granted))
    wave = Wave(len(earlier), turn.driver, issued, issued + LONGEST_SECONDS, shares)
    if not run.create_json(keys.split_wave_key(wave.number), asdict(wave)):
        return []  # another driver's
    named = {"kind": "split", "run": run.name, "wave": f"{NAME}{wave.number}", "deadline": wave.deadline}
    return [{**named, "slices": share} for share in shares]


def shared(left: Sequence[int], splitters: int) -> list[Sequence[int]]:
    """Return slices that follow each other for each of some splitters, about equally many."""
    edges = [round(len(left) * number / splitters) for number in range(splitters + 1)]
    return [left[begin:end] for begin, end in pairwise(edges)]


def check_attempts(earlier: Sequence[Wave], left: Sequence[int], turn: Turn) -> None:
    """Raise RunError for a slice that ends its splitter time and again, or that trying again cannot mend."""
    mine = [wave for wave in earlier if wave.driver == turn.driver]
    reasons = outcome(mine[-1], turn) if mine else {}
    for number in left:
        ledger.check_mendable(reasons.get(number))
        times = sum(number == share[0] for wave in mine for share in wave.slices)  # a splitter begins with its first
        if times >= ATTEMPTS:
            reason = reasons.get(number, "its pieces are not in the store")
            raise RunError(f"slice {number} of the dataset failed {times} times, the last time: {reason}")


def outcome(wave: Wave, turn: Turn) -> dict[int, str]:
    """Return {the first slice of each splitter: what its item in my last wave's result says}."""
    items = turn.items if len(turn.items) == len(wave.slices) else [{"failed": turn.lost}] * len(wave.slices)
    said = [item if isinstance(item, dict) else {} for item in items]
    pairs = zip(wave.slices, said, strict=True)
    return {share[0]: str(one.get("failed") or one.get("error") or "there was no time for it") for share, one in pairs}


def carry_out(run: Run, plan: Plan, numbers: Sequence[int], deadline: float) -> int:
    """Write the pieces of slices of these numbers, as many as there is time for; return how many."""
    slices = cut(plan)
    return pieces.carry_out(run, plan, [slices[number] for number in numbers], deadline)
