"""What a trainer is given for a slice: numbers and presigned URLs, no key of the store; used by the reducer."""

from collections.abc import Mapping
from typing import Any

from common.errors import ParameterError, shown
from common.plan.plan import Plan
from common.plan.schedule import Schedule, share, stops
from common.rounds import inspection, ledger, steering, stopping
from common.rounds.ledger import Slice, Wave
from common.storage import keys
from common.storage.run import Folder, Run

SHORT_SECONDS = 60.0  # a slice of a wave this short, expected to take 15 s at most, is saved at its end only


def values(run: Run, plan: Plan, wave: Wave) -> list[dict[str, Any]]:
    """Return the wave's slices as the trainers take them: numbers and presigned URLs, no key."""
    if wave.round == plan.rounds:
        return [evaluation(run, plan, wave, piece) for piece in wave.slices]
    allowed = wave.deadline - wave.issued
    rate = steering.rate(run, plan, wave.round)
    shorts = [allowed <= SHORT_SECONDS and piece.round > 0 for piece in wave.slices]
    return [
        {**value(run, plan, wave, piece, short), "rate": rate} for piece, short in zip(wave.slices, shorts, strict=True)
    ]


def value(run: Run, plan: Plan, wave: Wave, piece: Slice, short: bool) -> dict[str, Any]:
    """Return one trainer's parameters."""
    steps = plan.schedule()
    shard, total = steps.shard(piece.round, piece.lane), steps.steps(piece.round, piece.lane)
    offered = [total] if short else stops(piece.start, total)
    if (plan.workers > 1 or plan.keeps_start) and (piece.round, piece.lane, piece.start) == (0, 0, 0):
        offered = [0, *offered]
    put = [[step, run.objects.presign_put(run.at(keys.state_key(piece.round, piece.lane, step)))] for step in offered]
    return {
        "kind": "train",
        **place(run, plan, wave, piece),
        "micro": piece.micro,
        "schedule": plan.schedule_numbers(),
        "shard": f"{plan.split}/{shard}",
        "arrays": plan.arrays,
        "get": readable(run, plan, piece, shard),
        "next": following(run, plan, steps, piece),
        "validation": validation(plan, plan.workers, piece) if plan.validates(piece.round) else None,
        "weighs_by_accuracy": plan.weighting == "accuracy",
        "put": put,
        "keep_start": plan.keeps_start,
    }


def following(run: Run, plan: Plan, steps: Schedule, piece: Slice) -> dict[str, str | None] | None:
    """Return what else the lane reads next, a shard or the held-out set: the trainer fetches it meanwhile."""
    after = piece.round + 1
    if after == steps.rounds:
        if piece.lane >= plan.evaluators:
            return None
        return {"shard": f"{plan.split}/{plan.evaluate_on}", **urls(plan.data(run.objects), held_out(plan))}
    shard = steps.shard(after, piece.lane)
    if shard == steps.shard(piece.round, piece.lane):
        return None
    wanted = {name: keys.shard_key(shard, name) for name in plan.arrays}
    return {"shard": f"{plan.split}/{shard}", **urls(plan.data(run.objects), wanted)}


def readable(run: Run, plan: Plan, piece: Slice, shard: int) -> dict[str, str | None]:
    """Return the URLs a slice reads from."""
    wanted: dict[str, str | None] = {name: keys.shard_key(shard, name) for name in plan.arrays}
    if plan.weighting == "accuracy" or plan.validates(piece.round):
        wanted |= validation_keys(plan)
    own = {"model": keys.INITIAL, "state": state_before(piece)}
    return {**urls(run, own), **urls(plan.data(run.objects), wanted)}


def state_before(piece: Slice) -> str | None:
    """Return the key of the state a slice starts from; None: the user's model itself."""
    if piece.start:
        return keys.state_key(piece.round, piece.lane, piece.start)
    return keys.model_key(piece.round) if piece.round else None


def evaluation(run: Run, plan: Plan, wave: Wave, piece: Slice) -> dict[str, Any]:
    """Return the parameters of a trainer that evaluates a share of the held-out set; lane 0 leaves the model, too."""
    stop, final = stopping.end(run, plan), piece.evaluates
    assert final is not None
    other = keys.model_key(stop.final) if stop.averaged > 1 and plan.validation else None
    file = run.objects.presign_put(run.at(keys.final_key(final))) if piece.lane == 0 else None
    return {
        "kind": "evaluate",
        **place(run, plan, wave, piece),
        "rows": share(plan.held_out, plan.shares, piece.lane),
        "set": f"{plan.split}/{plan.evaluate_on}",
        "get": {
            **urls(run, {"model": keys.INITIAL, "state": final, "other": other}),
            **urls(plan.data(run.objects), {**held_out(plan), **(validation_keys(plan) if plan.validation else {})}),
        },
        "validation": validation(plan, plan.evaluators, piece) if plan.validation else None,
        "put": run.objects.presign_put(run.at(keys.scores_key(final, piece.lane))),
        "final": file,
        "averaged": plan.workers > 1 or stop.averaged > 1,
        "makes_final": inspection.makes_final(piece.lane),
    }


def saved(run: Run, plan: Plan, round_: object) -> dict[str, Any]:
    """Return the parameters of a trainer that saves the average of a round as a `.keras` file.

    ParameterError for a round that has none.
    """
    held = run.sizes(keys.ROUNDS)
    closed = [number for number in range(plan.rounds) if keys.model_key(number + 1) in held]
    if not isinstance(round_, int) or isinstance(round_, bool) or round_ not in closed:
        known = f"{closed[0]}..{closed[-1]}, which are averaged" if closed else "one that is averaged: none is yet"
        raise ParameterError(f"round: got {shown(round_)}, expected {known}")
    file = keys.file_key(round_ + 1)
    return {
        "kind": "save",
        **model(plan),
        "run": run.name,
        "round": round_,
        "get": urls(run, {"model": keys.INITIAL, "state": keys.model_key(round_ + 1)}),
        "averaged": plan.workers > 1,
        "put": run.objects.presign_put(run.at(file)),
        "file": str(run.at(file)),
    }


def validation(plan: Plan, shares: int, piece: Slice) -> dict[str, Any]:
    """Return on which examples a lane evaluates the average of a round: its part of the sample, cut into shares."""
    assert plan.validation is not None
    held = plan.validation
    rows = plan.validation_share(shares, piece.lane)
    return {"set": f"{plan.split}/{held.set}", "sample": [held.examples, held.rows, plan.seed], "rows": rows}


def validation_keys(plan: Plan) -> dict[str, str | None]:
    """Return the keys of the set that averages are evaluated on, on the way."""
    name = plan.validation.set if plan.validation else "validation"
    return {f"validation_{array}": keys.part_key(name, array) for array in plan.held_arrays}


def place(run: Run, plan: Plan, wave: Wave, piece: Slice) -> dict[str, Any]:
    """Return what all slices of waves have: where they stand, and which model it is."""
    return {
        "run": run.name,
        "wave": wave.wave,
        "round": piece.round,
        "lane": piece.lane,
        "start": piece.start,
        "attempt": piece.attempt,
        **model(plan),
        "trainer": piece.trainer or plan.trainer.action,
        "inputs": plan.inputs,
        "outputs": plan.outputs,
        "held_arrays": plan.held_arrays,
        "fresh": ledger.lacks_memory(piece.reason),
        "deadline": wave.deadline,
    }


def model(plan: Plan) -> dict[str, Any]:
    """Return which model a trainer loads, at which rate and for which examples."""
    return {
        "example": plan.example,
        "learning_rate": plan.learning_rate,
        "optimizer": plan.optimizer,
        "model_sha256": plan.model.sha256,
    }


def held_out(plan: Plan) -> dict[str, str]:
    """Return the keys of the set that the model is evaluated on."""
    return {name: keys.part_key(plan.evaluate_on, name) for name in plan.held_arrays}


def urls(folder: Folder, wanted: Mapping[str, str | None]) -> dict[str, str | None]:
    """Return presigned URLs of keys."""
    return {name: key and folder.objects.presign_get(folder.at(key)) for name, key in wanted.items()}
