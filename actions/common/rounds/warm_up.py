"""The warm-up: an empty wave that starts the trainers while the splitter works; used by planner and reducer.

Where no container with TensorFlow waits, its import and the first trace of the graph cost a trainer seconds at half a
CPU. The warm-up is entered in the ledger, since its branches count against the throttle as any wave's. Nothing depends
on it: a trainer that it did not reach starts cold in the first wave.
"""

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from common.data.arrays import Array, stored_dtype
from common.errors import InspectionError
from common.plan.plan import Plan
from common.rounds import inspection
from common.rounds.ledger import check_mendable
from common.rounds.pace import RESERVED, Limits
from common.rounds.throttle import Throttle
from common.storage import keys
from common.storage.run import Run

LONGEST_SECONDS = 30.0  # an import and a trace at half a CPU, and a queue; the first wave waits no longer
POLL_SECONDS = 0.1
START_INVOCATIONS = 1  # of dl-pipeline itself


@dataclass(frozen=True)
class WarmUp:
    """The warm-up's document in the ledger; written once a run, before it starts."""

    issued: float  # epoch seconds
    deadline: float


def begin(run: Run, plan: Plan, limits: Limits, now: float) -> list[dict[str, Any]]:
    """Enter a run's start in the throttle, and a new run's warm-up; return its slices.

    None for a run that had one or is done, where the throttle has no room for it, or the first wave needs it.
    """
    lanes = plan.workers
    wanted = lanes + 1  # and the conductor that joins them
    fits = wanted <= limits.lanes and START_INVOCATIONS + wanted + lanes <= limits.per_minute - RESERVED
    throttle = Throttle(run.objects, run.name, limits)
    warm = fits and find(run) is None and run.find_json(keys.REPORT) is None
    if not throttle.begin(wanted if warm else 0, LONGEST_SECONDS, START_INVOCATIONS, now):
        return []
    warm_up = WarmUp(issued=now, deadline=now + LONGEST_SECONDS)
    if not run.create_json(keys.WARM_UP, asdict(warm_up)):
        return []
    return [value(run, plan, warm_up, lane) for lane in range(lanes)]


def value(run: Run, plan: Plan, warm_up: WarmUp, lane: int) -> dict[str, Any]:
    """Return one trainer's parameters: which model to load, and of what shape and type a batch is."""
    arrays = {**plan.train.data(), "weight": Array("weight", (0,), "<f4")}
    return {
        "kind": "warm-up",
        "trainer": plan.trainer.action,
        "micro": plan.trainer.micro,
        "run": run.name,
        "lane": lane,
        "deadline": warm_up.deadline,
        "learning_rate": plan.learning_rate,
        "optimizer": plan.optimizer,
        "model_sha256": plan.model.sha256,
        "inputs": plan.inputs,
        "outputs": plan.outputs,
        "batch": {
            name: {"shape": [plan.batch, *array.shape[1:]], "dtype": stored_dtype(array.dtype).str}
            for name, array in ((name, arrays[name]) for name in plan.arrays)
        },
        "get": {"model": run.objects.presign_get(run.at(keys.INITIAL))},
        "put": run.objects.presign_put(run.at(keys.warm_key(lane))),
    }


def find(run: Run) -> WarmUp | None:
    """Return the warm-up's document, None where there is none."""
    held = run.find_json(keys.WARM_UP)
    return held and WarmUp(**held)


def give_up(run: Run, reason: str | None) -> None:
    """Note that some trainer will not become warm, and why: the first wave need not wait for it."""
    run.create_json(keys.COLD, {"reason": reason, "time": time.time()})


def wait(run: Run, plan: Plan, now: Callable[[], float], sleep: Callable[[float], None]) -> WarmUp | None:
    """Wait until every trainer is warm or the warm-up's time is over: a wave before that would start other ones.

    RunError when a trainer has found what trying again cannot mend.
    """
    warm_up = find(run)
    while warm_up and now() < warm_up.deadline and not ended(run, plan):
        sleep(POLL_SECONDS)
    given_up = run.find_json(keys.COLD)
    if given_up:
        check_mendable(given_up["reason"])
    return warm_up


def ended(run: Run, plan: Plan) -> bool:
    """Return whether every trainer is warm, or some will not be."""
    held = run.sizes(keys.WARM)
    return keys.COLD in held or len(held) >= plan.workers


def measurements(run: Run) -> tuple[list[dict[str, Any]], list[str]]:
    """Return what the warm trainers said of themselves (seconds, memory in bytes), and what cannot be believed."""
    believed, doubts = [], []
    for key, size in sorted(run.sizes(keys.WARM).items()):
        if key == keys.COLD:
            continue
        try:
            found = inspection.document(run, key, size)
            inspection.check_spent(found)
            inspection.check_number("step_seconds", found.get("step_seconds", 0), 0, LONGEST_SECONDS)
            believed.append(found)
        except InspectionError as error:
            doubts.append(f"{key} is left out of the seconds and the memory: {error}")
    return believed, doubts


def step_seconds(run: Run, plan: Plan) -> float | None:
    """Return how long a step took the slowest warm trainer; None where one has not told, or steps are not all."""
    steps = [found["step_seconds"] for found in measurements(run)[0] if "step_seconds" in found]
    return max(steps) if len(steps) == plan.workers and plan.weighting != "accuracy" else None
