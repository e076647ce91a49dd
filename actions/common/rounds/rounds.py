"""A round: what its lanes have saved, what is still to do, its closing average; used by reducer and status."""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from common.errors import InspectionError, RunError
from common.plan.keras_names import is_accuracy
from common.plan.plan import Plan
from common.rounds import averaging, inspection, stopping
from common.rounds.averaging import Lane, Moving, Outer
from common.rounds.inspection import Due, Inspected
from common.rounds.ledger import Slice
from common.storage import keys, state
from common.storage.file import parts
from common.storage.objects import PART_BYTES
from common.storage.run import Run, at_once
from common.storage.stream import Stream

Refusals = dict[int, str]  # lane -> why what it left cannot be believed


@dataclass(frozen=True)
class Round:
    """A round as the store shows it: the last saved step of each lane, and whether it is closed."""

    number: int
    steps: dict[int, int]  # lane -> last saved step, 0 where there is none
    closed: bool
    sizes: dict[tuple[int, int], int] = field(default_factory=dict)  # bytes of each state, by lane and step
    evaluates: str | None = None  # the key of a state, where this is the evaluation


def look(run: Run, plan: Plan, number: int) -> Round:
    """Read a round's standing with two listings; the number after the last round is the evaluation's."""
    if number == plan.rounds:
        return evaluation(run, plan)
    sizes = {at: size for key, size in run.sizes(keys.round_folder(number)).items() if (at := keys.read_state_key(key))}
    steps = {lane: max((s for k, s in sizes if k == lane), default=0) for lane in range(plan.workers)}
    closing = keys.model_key(number + 1)
    return Round(number, steps, closing in run.sizes(closing), sizes)


def evaluation(run: Run, plan: Plan) -> Round:
    """Read the evaluation's standing: a lane's only step is to evaluate its share of the held-out set."""
    final = stopping.end(run, plan).state
    held = run.sizes(keys.scores_folder(final))
    steps = {lane: int(keys.scores_key(final, lane) in held) for lane in range(plan.evaluators)}
    return Round(plan.rounds, steps, all(steps.values()), evaluates=final)


def current(run: Run, plan: Plan, at_least: int) -> Round | None:
    """Return the first round from `at_least` on that is not closed, then the evaluation; None when that is done too."""
    for number in (*range(at_least, stopping.end(run, plan).rounds), plan.rounds):
        found = look(run, plan, number)
        if not found.closed:
            return found
    return None


def pending(plan: Plan, found: Round) -> list[Slice]:
    """Return the slices that the round still needs, one a lane at most."""
    total = lengths(plan, found.number)
    left = [(lane, start) for lane, start in found.steps.items() if start < total(lane)]
    micro = None if found.evaluates else plan.trainer.micro
    return [Slice(found.number, lane, start, micro=micro, evaluates=found.evaluates) for lane, start in left]


def lengths(plan: Plan, number: int) -> Callable[[int], int]:
    """Return how many steps a lane has in a round."""
    return (lambda _: 1) if number == plan.rounds else partial(plan.schedule().steps, number)


def close(run: Run, plan: Plan, found: Round) -> Refusals:
    """Average the lanes of a whole round into the next round's start; written last, that object closes the round.

    Where a lane's state cannot be believed, nothing is written.
    """
    lanes, refused = opened(run, plan, found, found.steps)
    if refused := refused or differing(run, found, lanes) or begun(run, plan, found, lanes):
        return refused
    weights = lane_weights(plan.weighting, lanes)
    kept = {"lanes": json.dumps(summary(lanes, weights)), "signature": lanes[0].signature}
    metadata = {"round": str(found.number + 1), **kept}
    pushed, reset, moved = outer(run, plan, found), fresh(run, plan, found), moving(run, found, lanes, weights)
    pieces = averaging.merged(lanes, weights, metadata, pushed, reset, moved)
    try:
        run.objects.create_from(run.at(keys.model_key(found.number + 1)), parts(pieces, PART_BYTES))
    except InspectionError as error:
        return dict.fromkeys(error.lanes or found.steps, str(error))
    return {}


def opened(run: Run, plan: Plan, found: Round, steps: Mapping[int, int]) -> tuple[list[Inspected], Refusals]:
    """Open a state of each lane, at those steps; return them, and why some cannot be believed."""
    lanes, refused = [], {}
    for lane, step in steps.items():
        read = Stream(run.objects, run.at(keys.state_key(found.number, lane, step))).read
        due = Due.of(plan, found.number, lane, step)
        try:
            lanes.append(Inspected(read, averaging.AHEAD, found.sizes[lane, step], due))
        except InspectionError as error:
            refused[lane] = str(error)
    return lanes, refused


def differing(run: Run, found: Round, lanes: Sequence[Inspected]) -> Refusals:
    """Return which lanes' states are of another kind than the round's start, in the first round than most."""
    begun = reader(run, keys.model_key(found.number)).metadata if found.number else {}
    known = begun.get("signature")
    odd = inspection.dissenters({lane.due.lane: lane.signature for lane in lanes}, known)
    whose = "the round's start" if known else "most lanes"
    return dict.fromkeys(odd, f"its tensors, rules or metrics are not those of {whose}")


def begun(run: Run, plan: Plan, found: Round, lanes: Sequence[Inspected]) -> Refusals:
    """Return why what the first round started from, which averages need and lane 0 saves, cannot be believed."""
    if found.number or not (plan.keeps_start or (len(lanes) > 1 and lanes[0].progress.decays)):
        return {}
    if (0, 0) not in found.sizes:
        return {0: "it has not saved what it started from"}
    starts, refused = opened(run, plan, found, {0: 0})
    if any(averaging.shapes(start.tensors) != averaging.shapes(lanes[0].tensors) for start in starts):
        refused = {0: "what it started from has other tensors than what it came to"}
    return unreadable(starts, refused)


def doubtful(run: Run, plan: Plan, found: Round) -> Refusals:
    """Return why a lane cannot go on from its last state; all of that is read, which is rare."""
    if found.number == plan.rounds:
        return {}
    begun = {piece.lane: piece.start for piece in pending(plan, found) if piece.start}
    return unreadable(*opened(run, plan, found, begun))


def unreadable(lanes: Sequence[Inspected], refused: Refusals) -> Refusals:
    """Return the refusals, and those of lanes with numbers that cannot be trained on."""
    found = dict(refused)
    for lane in lanes:
        try:
            lane.read_all()
        except InspectionError as error:
            found[lane.due.lane] = str(error)
    return found


def outer(run: Run, plan: Plan, found: Round) -> Outer | None:
    """Return the outer momentum of a round, None where there is none; the first round has nothing to go on from."""
    if not plan.outer_momentum or not found.number:
        return None
    return Outer(plan.outer_momentum, starting(run, found.number), starting(run, found.number - 1))


def fresh(run: Run, plan: Plan, found: Round) -> Lane | None:
    """Return whose optimizer the next round starts with, None for the lanes' own; no round follows the last one."""
    last = found.number + 1 == plan.rounds
    return starting(run, 0) if plan.optimizer_state == "reset" and not last else None


def moving(run: Run, found: Round, lanes: Sequence[Lane], weights: Sequence[float]) -> Moving | None:
    """Return the lanes' moving averages, None where there are none; a lane alone made all updates itself."""
    if len(lanes) == 1 or not lanes[0].progress.decays:
        return None
    return Moving.of(starting(run, found.number), lanes, weights)


def starting(run: Run, number: int) -> Lane:
    """Return the state that a round's lanes started from; of the first round, as lane 0 saved it."""
    return streamed(run, keys.model_key(number) if number else keys.state_key(0, 0, 0))


def streamed(run: Run, key: str) -> Lane:
    """Open a state of the run to read it all, in order."""
    return Lane(Stream(run.objects, run.at(key)).read, averaging.AHEAD)


def reader(run: Run, key: str) -> Lane:
    """Open a state of the run for its header, or for a part of it."""
    at = run.at(key)
    return Lane(lambda begin, end: run.objects.read(at, begin, end), averaging.HEADER)


def lane_weights(weighting: str, lanes: Sequence[Lane]) -> list[float]:
    """Return what each lane weighs in the average."""
    if weighting == "uniform":
        return [1.0] * len(lanes)
    if weighting == "examples":
        return [float(lane.progress.examples) for lane in lanes]
    return [validated(lane.progress) for lane in lanes]


def validated(progress: state.Progress) -> float:
    """Return a lane's validation accuracy."""
    found = accuracy(progress.validation or {})
    if found is None:
        raise RunError(f"lane {progress.lane}: got no validation accuracy, expected one as weighting is accuracy")
    return found


def accuracy(metrics: Mapping[str, float]) -> float | None:
    """Return the accuracy, by whatever name it was compiled; None where there is none."""
    return next((value for name, value in metrics.items() if is_accuracy(name)), None)


def summary(lanes: Sequence[Lane], weights: Sequence[float]) -> list[dict[str, Any]]:
    """Return what is kept of each lane's round: examples, sums, seconds, memory, processors, weight."""
    measured = ("sums", "start_sums", "seconds", "activation_seconds", "memory", "processors", "validation")
    kept = ("lane", "step", "examples", *measured)
    rows = [{name: getattr(lane.progress, name) for name in kept} for lane in lanes]
    return [{**row, "weight": weight} for row, weight in zip(rows, weights, strict=True)]


def summaries(run: Run, number: int) -> list[dict[str, Any]]:
    """Return what the lanes of the round before `number` measured; kept in the state that closed it."""
    return list(json.loads(reader(run, keys.model_key(number)).metadata["lanes"]))


def all_summaries(run: Run, numbers: Iterable[int]) -> list[list[dict[str, Any]]]:
    """Return what the lanes of the rounds of these numbers measured."""
    return at_once(lambda number: summaries(run, number + 1), numbers)


def metrics(lanes: Sequence[dict[str, Any]]) -> dict[str, float]:
    """Return the lanes' training loss and metrics together."""
    return together([lane["sums"] for lane in lanes])


def validation(lanes: Sequence[dict[str, Any]]) -> dict[str, float]:
    """Return loss and metrics of what the lanes' round started from, none where they did not evaluate it."""
    return together([sums for lane in lanes if (sums := lane.get("start_sums"))])


def together(sums: Sequence[Mapping[str, Sequence[float]]]) -> dict[str, float]:
    """Return the quotients of totals and counts."""
    return {
        name: sum(one[name][0] for one in sums) / max(1.0, sum(one[name][1] for one in sums))
        for name in (sums[0] if sums else ())
    }
