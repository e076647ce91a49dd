"""A run's progress as JSON, its cancel marker, drivers and failures; used by the actions `status` and `planner`."""

import contextlib
import hmac
import time
from typing import Any

from common.errors import ParameterError, RunError
from common.plan import plan as plans
from common.plan.plan import Plan
from common.rounds import lease, ledger, rounds, stopping
from common.rounds.ledger import Wave
from common.storage import beat, keys
from common.storage.objects import Objects
from common.storage.run import Run

NEWEST = 10  # runs listed
SHOWN = 20  # rounds and failed attempts shown, the last ones
SILENCE_SECONDS = 60.0  # without a lease and a beat, until a run is called abandoned: a pause, a queue and a cold start


def runs(objects: Objects) -> list[dict[str, Any]]:
    """Return the newest runs: name, when it was planned, phase."""
    names = [folder.removeprefix(keys.RUNS).rstrip("/") for folder in objects.folders(keys.RUNS)]
    plans = [(run, plan) for run in (Run(objects, name) for name in names) if (plan := planned(run))]
    plans.sort(key=lambda pair: -pair[1].created)
    return [
        {"run": run.name, "created": plan.created, "phase": phase(run, plan, ledger.newest(run), time.time())}
        for run, plan in plans[:NEWEST]
    ]


def planned(run: Run) -> Plan | None:
    """Return a run's plan, None where there is none, or none that this release wrote: other runs are listed still."""
    with contextlib.suppress(RunError):
        return plans.find(run)
    return None


def standing(run: Run, now: float) -> dict[str, Any]:
    """Return where a run stands: phase, wave, round, lanes done, attempts, metrics so far, failures."""
    plan = plans.read(run)
    newest = ledger.newest(run)
    found = rounds.current(run, plan, newest.round) if newest else None
    waiting = {piece.lane for piece in rounds.pending(plan, found)} if found else set()
    doing = phase(run, plan, newest, now)
    failed = failures(run)
    return {
        "run": run.name,
        "phase": doing,
        "advice": advice(run) if doing == "abandoned" else None,
        "wave": newest and newest.wave,
        "round": found.number if found else (plan.rounds if newest else 0),
        "rounds": plan.rounds,
        "lanes": plan.workers,
        "lanes_done": sorted(set(range(plan.workers)) - waiting) if newest else [],
        "attempts": [{"lane": piece.lane, "attempt": piece.attempt} for piece in newest.slices] if newest else [],
        "failed_attempts": failed_attempts(run, newest.wave + 1) if newest else [],
        "metrics": history(run, plan, found.number if found else plan.rounds) if newest else [],
        "failure": failed[-1]["failure"] if failed else None,
        "failures": failed,
        "result": run.find_json(keys.REPORT),
    }


def phase(run: Run, plan: Plan, newest: Wave | None, now: float) -> str:
    """Return one word for what the run is doing."""
    if run.find_json(keys.REPORT):
        return "done"
    failed, driven = last_time(run, keys.FAILURES), last_time(run, keys.DRIVERS)
    if failed > max(driven, newest.issued if newest else 0.0):
        return "failed"
    if now > max(driven, lease.end(run, newest) if newest else 0.0, beat.heard(run)) + SILENCE_SECONDS:
        return "abandoned"
    if run.find_json(keys.CANCEL):
        return "cancelling"
    if not newest:
        return "training" if run.find_json(keys.SPLIT) else "splitting"
    found = rounds.current(run, plan, newest.round)
    return "training" if found and found.number < plan.rounds else "evaluating"


def advice(run: Run) -> str:
    """Say what to do about a run that nobody drives."""
    return f"nobody drives this run any more; wsk action invoke dl-pipeline -p run {run.name} takes it up"


def history(run: Run, plan: Plan, closed: int) -> list[dict[str, Any]]:
    """Return training loss and metrics of the last closed rounds, and those of their averages that are evaluated."""
    closed = min(closed, stopping.end(run, plan).rounds)
    numbers = range(max(0, closed - SHOWN), closed)
    summaries = rounds.all_summaries(run, numbers)
    evaluated = [*map(rounds.validation, summaries[1:]), {}][: len(summaries)]
    return [
        {"round": number, **rounds.metrics(lanes), **{f"val_{name}": value for name, value in found.items()}}
        for number, lanes, found in zip(numbers, summaries, evaluated, strict=True)
    ]


def failed_attempts(run: Run, waves: int) -> list[dict[str, Any]]:
    """Return which slices of these many waves had to be tried again, and why: the last ones."""
    return [
        {"round": piece.round, "lane": piece.lane, "step": piece.start, "attempt": piece.attempt - 1, "reason": reason}
        for wave in ledger.first(run, waves)
        for piece in wave.slices
        if piece.attempt > 1 and (reason := piece.reason)
    ][-SHOWN:]


def begin(run: Run, invocation: dict[str, Any]) -> None:
    """Note that a pipeline drives the run from now on; marks that are older than its invocation hold no more.

    A run that is done is not driven: its result is given again.
    """
    if run.find_json(keys.REPORT):
        return
    for key in (keys.CANCEL, keys.COLD):
        mark = run.find_json(key)
        if mark and mark["time"] < invocation["time"]:
            run.objects.delete(run.at(key))
    append(run, keys.DRIVERS, {"driver": invocation["id"], "time": time.time()})


def cancel(run: Run) -> None:
    """Set the marker that the next reducer obeys."""
    plans.read(run)
    run.create_json(keys.CANCEL, {"time": time.time()})


def check_token(run: Run, token: object) -> None:
    """Refuse whoever is not the pipeline."""
    if not isinstance(token, str) or not hmac.compare_digest(token.encode(), str(plans.read(run).token).encode()):
        raise ParameterError(
            "token: got another one than the run's, expected no `failure` or `cold` but the pipeline's"
        )


def record(run: Run, failure: str) -> None:
    """Keep why an invocation of the pipeline failed."""
    append(run, keys.FAILURES, {"failure": failure, "time": time.time()})


def failures(run: Run) -> list[dict[str, Any]]:
    """Return why and when invocations of the pipeline failed, the newest last; a run that is resumed keeps them."""
    return [found for key in sorted(run.sizes(keys.FAILURES))[-SHOWN:] if (found := run.find_json(key))]


def append(run: Run, folder: str, document: dict[str, Any]) -> None:
    """Write the next document of a folder."""
    number = len(run.sizes(folder))
    while not run.create_json(keys.numbered_key(folder, number), document):
        number += 1


def last_time(run: Run, folder: str) -> float:
    """Return when the last document of a folder was written, in epoch seconds; 0 where there is none."""
    known = sorted(run.sizes(folder))
    found = run.find_json(known[-1]) if known else None
    return float(found["time"]) if found else 0.0
