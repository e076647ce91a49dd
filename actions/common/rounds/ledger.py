"""The ledger: one document a wave, written before the wave starts; who drives a run, which slices are tried, how often.

Used by the reducer. A document is created once and never changed; creating it is the lease on its slices until its
deadline. What a wave achieved is not in it: the store's model states say that.
"""

import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from common.errors import RunError, final
from common.plan.plan import Plan
from common.storage import keys
from common.storage.run import Run, at_once

ATTEMPTS = 4
LONGEST_SECONDS = 350.0  # the longest wave: a trainer's 300 s and a join's slack
MEMORY = ("exhausted its memory", "MemoryError: ")  # the platform's word, and the trainer's
LOST = "the wave was lost: "  # where its conductor was killed, not its trainers
# The other faces of a killed container that OpenWhisk shows; each may have been lack of memory.
KILLED = ("exited unexpectedly", "command exited", "did not initialize")
# What wave-map says of a wave that it did not start: composer's words, and those of the join around composer's.
NOT_STARTED = ("Parallel combinator failed to invoke", "The wave could not begin")
NOT_LET_IN = (
    "WRONGPASS",
    "NOAUTH",
    "NOPERM",
    "invalid password",
    "no address of Redis",
)  # Redis' own words but the last
THROTTLED = "Too many "  # requests in the last minute, or concurrent requests in flight
MINUTE = "last minute"


@dataclass(frozen=True)
class Slice:
    """One trainer activation to be: a lane's round from step `start` on."""

    round: int
    lane: int
    start: int
    attempt: int = 1
    micro: int | None = None  # micro-batch size; None: whole batches
    reason: str | None = None  # why the attempt before this one failed
    trainer: str | None = None  # the action; None: the plan's
    evaluates: str | None = None  # the key of a state, where it does not train

    def same_work(self, other: "Slice") -> bool:
        """Return whether both are the same steps of the same lane."""
        mine, others = ((one.round, one.lane, one.start, one.evaluates) for one in (self, other))
        return mine == others


@dataclass(frozen=True)
class Wave:
    """One parallel map over slices: a document of the ledger."""

    wave: int
    driver: str
    issued: float  # epoch seconds
    deadline: float
    slices: tuple[Slice, ...]
    reducer_seconds: float  # of the activation that wrote it

    @property
    def round(self) -> int:
        """The round whose slices these are."""
        return self.slices[0].round


def find(run: Run, wave: int) -> Wave | None:
    """Return a wave's document, None where there is none."""
    held = run.find_json(keys.wave_key(wave))
    if held is None:
        return None
    slices = tuple(Slice(**piece) for piece in held.pop("slices"))
    return Wave(slices=slices, **held)


def first(run: Run, count: int) -> list[Wave]:
    """Return the documents of the first waves, of those that are there."""
    return [wave for wave in at_once(lambda number: find(run, number), range(count)) if wave]


def newest(run: Run) -> Wave | None:
    """Return the newest wave, None before the first."""
    waves = [int(match[1]) for key in run.sizes("waves/") if (match := re.fullmatch(r"waves/(\d+)\.json", key))]
    return find(run, max(waves)) if waves else None


def create(run: Run, wave: Wave) -> bool:
    """Write a wave's document; return False when another driver has taken its number."""
    return run.create_json(keys.wave_key(wave.wave), asdict(wave))


def outcome(mine: Wave | None, items: Sequence[Any], lost: str | None) -> dict[int, str | None]:
    """Return {lane: why its slice of my last wave failed}; None: it never ran, or was queued too long."""
    if mine is None or (lost is None and not items):  # the second: known already, or another driver's turn since
        return {}
    lanes = [piece.lane for piece in mine.slices]
    if lost is not None or len(items) != len(lanes):
        reason = None if throttled(lost) else lost or f"the wave returned {len(items)} of {len(lanes)} items"
        return dict.fromkeys(lanes, f"{LOST}{reason}" if lacks_memory(reason) else reason)
    longest = mine.deadline - mine.issued >= LONGEST_SECONDS
    return {lane: failure(item, longest) for lane, item in zip(lanes, items, strict=True)}


def never_began(lost: str | None) -> bool:
    """Return whether a wave was lost before it began: nothing of it need be waited for."""
    return lost is not None and any(words in lost for words in NOT_STARTED)


def check_mendable(reason: str | None) -> None:
    """Raise RunError where trying again cannot mend why a slice or a whole wave failed."""
    if sentence := final(reason or ""):
        raise RunError(sentence)
    if reason and never_began(reason) and any(words in reason for words in NOT_LET_IN):
        raise RunError(f"{reason.rstrip('.')}; expected REDIS_URI to name a user and password that Redis lets in")


def throttled(lost: str | None) -> bool:
    """Return whether a wave was lost before it began because the throttle refused one of its branches."""
    return lost is not None and never_began(lost) and THROTTLED in lost


def failure(item: Any, longest: bool) -> str | None:
    """Return why a trainer failed, from its item in the wave's result; None when a longer wave may do."""
    if not isinstance(item, dict):
        return f"the trainer returned {type(item).__name__}"
    if item.get("used"):  # and it has ended
        return None
    if too_slow(item):
        return "the slice ended before its first save step" if longest and not item.get("late") else None
    return str(item.get("failed") or item.get("error") or "its model state is not in the store")


def too_slow(item: Any) -> bool:
    """Return whether a trainer was queued too long, or ended at its deadline before the first save step."""
    return isinstance(item, dict) and bool(item.get("late") or ("step" in item and item["step"] == item.get("start")))


def retried(wanted: Slice, before: Slice | None, reason: str | None, plan: Plan) -> Slice:
    """Return the slice to try next: `before` is the same lane's slice of my last wave, `reason` why that one failed.

    RunError when it has failed too often, or for a reason that trying again cannot mend.
    """
    check_mendable(reason)
    if before is None:
        return wanted
    if not wanted.same_work(before):
        return replace(wanted, micro=before.micro, trainer=before.trainer)
    if reason is None:
        return before
    return again(roomier(before, reason, plan), before.attempt, reason)


def refused(wanted: Slice, before: Slice | None, reason: str, times: int) -> Slice:
    """Return the slice to try next where what the lane left was refused, for this reason and so many `times` in all.

    A refusal counts whatever was saved in between: a trainer that was taken over could save and fail for ever.
    """
    tried = before.attempt if before and wanted.same_work(before) else 1
    counted = max(tried, (times - 1) % ATTEMPTS + 1)  # a run that is taken up has its attempts again
    kept = replace(wanted, micro=before.micro, trainer=before.trainer) if before else wanted
    return again(kept, counted, reason)


def again(piece: Slice, tried: int, reason: str) -> Slice:
    """Return the next attempt of a slice; RunError after the last."""
    if tried >= ATTEMPTS:
        where = f"lane {piece.lane} of round {piece.round} at step {piece.start}"
        raise RunError(f"{where} failed {tried} times, the last time: {reason}")
    return replace(piece, attempt=tried + 1, reason=reason)


def roomier(before: Slice, reason: str, plan: Plan) -> Slice:
    """Return the slice to try next: where a container of its own lacked memory, too, the largest trainer, then halves.

    The first lack says nothing of the slice, for the container held what it had done before.
    """
    if not (lacks_memory(reason) and lacks_memory(before.reason)):
        return before
    if (before.trainer or plan.trainer.action) != plan.trainer.largest:
        return replace(before, trainer=plan.trainer.largest)
    return replace(before, micro=max(1, (before.micro or plan.batch) // 2))


def lacks_memory(reason: str | None) -> bool:
    """Return whether a trainer ended as one does that lacks memory; a wave's own end says nothing of its trainers."""
    if reason is None or reason.startswith(LOST):
        return False
    return any(face in reason for face in (*MEMORY, *KILLED))
