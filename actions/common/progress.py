"""A run's progress as JSON, its cancel marker and its failures; used by the action `status`."""

import time
from typing import Any

from common import ledger, rounds
from common import run as keys
from common.ledger import Wave
from common.plan import Plan
from common.run import Run
from common.store import Objects

NEWEST = 10  # runs listed
SHOWN = 20  # rounds shown, the last ones


def runs(objects: Objects) -> list[dict[str, Any]]:
    """Return the newest runs: name, when it was planned, phase."""
    names = [folder.removeprefix("runs/").rstrip("/") for folder in objects.folders("runs/")]
    plans = [(this, plan) for this in (Run(objects, name) for name in names) if (plan := this.find_json(keys.PLAN))]
    plans.sort(key=lambda pair: -pair[1]["created"])
    return [
        {"run": this.name, "created": plan["created"], "phase": phase(this, plan, ledger.newest(this))}
        for this, plan in plans[:NEWEST]
    ]


def standing(this: Run) -> dict[str, Any]:
    """Return where a run stands: phase, wave, round, lanes done, attempts, metrics so far, failure."""
    plan = this.plan()
    newest = ledger.newest(this)
    found = rounds.current(this, plan, newest.round) if newest else None
    waiting = {piece.lane for piece in rounds.pending(plan, found)} if found else set()
    failure = last_failure(this)
    return {
        "run": this.name,
        "phase": phase(this, plan, newest),
        "wave": newest and newest.wave,
        "round": found.number if found else (plan["rounds"] if newest else 0),
        "rounds": plan["rounds"],
        "lanes": plan["workers"],
        "lanes_done": sorted(set(range(plan["workers"])) - waiting) if newest else [],
        "attempts": [{"lane": piece.lane, "attempt": piece.attempt} for piece in newest.slices] if newest else [],
        "metrics": history(this, found.number if found else plan["rounds"]) if newest else [],
        "failure": failure and failure["failure"],
        "result": this.find_json(keys.REPORT),
    }


def phase(this: Run, plan: Plan, newest: Wave | None) -> str:
    """Return one word for what the run is doing."""
    failure = last_failure(this)
    if this.find_json(keys.REPORT):
        return "done"
    if failure and (newest is None or failure["time"] > newest.issued):
        return "failed"
    if this.find_json(keys.CANCEL):
        return "cancelling"
    if not newest:
        return "training" if this.find_json(keys.SPLIT) else "splitting"
    found = rounds.current(this, plan, newest.round)
    return "training" if found and found.number < plan["rounds"] else "evaluating"


def history(this: Run, closed: int) -> list[dict[str, Any]]:
    """Return training loss and metrics of the last closed rounds."""
    return [
        {"round": number, **rounds.metrics(rounds.summaries(this, number + 1))}
        for number in range(max(0, closed - SHOWN), closed)
    ]


def cancel(this: Run) -> None:
    """Set the marker that the next reducer obeys."""
    this.plan()
    this.create_json(keys.CANCEL, {"time": time.time()})


def record(this: Run, failure: str) -> None:
    """Keep why an invocation of the pipeline failed."""
    number = len(this.sizes("failures/"))
    while not this.create_json(keys.failure_key(number), {"failure": failure, "time": time.time()}):
        number += 1


def last_failure(this: Run) -> dict[str, Any] | None:
    """Return the newest failure, None where there is none."""
    known = sorted(this.sizes("failures/"))
    return this.find_json(known[-1]) if known else None
