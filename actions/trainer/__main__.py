"""Trains one slice of one lane's round, warms up for it, evaluates or saves; holds presigned URLs, and no key."""

import os
import time
from typing import Any

from common.errors import ParameterError, classified, shown
from common.plan.schedule import Schedule
from common.storage import transfer
from common.storage.state import Progress
from common.training import processor
from common.training.evaluate import evaluate, save, validate, validation_set
from common.training.lane import MARGIN_SECONDS, Lane, check_weights
from common.training.memory import PeakMemory
from common.training.model import Data, Learner
from common.training.warm import Arrays, Learners, Which, as_data

SETS, LEARNERS = Arrays(limit=4), Learners()  # a shard and the next one, validation and test set
ENDED = False  # whether the container ends after this answer: the proxy looks here
PLACE = ("run", "wave", "round", "lane", "start")
EXPECTED = (
    *PLACE,
    "deadline",
    "schedule",
    "model_sha256",
    "learning_rate",
    "optimizer",
    "rate",
    "micro",
    "get",
    "shard",
    "arrays",
    "held_arrays",
    "inputs",
    "outputs",
    "next",
    "validation",
    "weighs_by_accuracy",
    "put",
    "keep_start",
)


@classified
def main(params: dict[str, Any]) -> dict[str, Any]:
    """Do a slice of its kind: of a round or the evaluation, as the reducer makes it, or of the warm-up."""
    global ENDED
    if params.get("fresh") and not LEARNERS.as_new():
        ENDED = True
        return {"used": True, "run": params["run"], "lane": params["lane"]}
    match params.get("kind"):
        case "train":
            return train(params)
        case "evaluate":
            return evaluate(params, LEARNERS, SETS)
        case "save":
            return save(params, LEARNERS)
        case "warm-up":
            return LEARNERS.warm_up(params)
    raise ParameterError(f"kind: got {shown(params.get('kind'))}, expected a slice as planner and reducer make it")


def train(params: dict[str, Any]) -> dict[str, Any]:
    """Train a slice."""
    began = time.time()
    missing = [name for name in EXPECTED if name not in params]
    if missing:
        raise ParameterError(f"got no {', '.join(missing)}, expected a slice as the reducer makes it")
    place = {name: params[name] for name in PLACE}
    deadline = min(params["deadline"], float(os.environ.get("__OW_DEADLINE", "inf")) / 1000)
    if began > deadline - MARGIN_SECONDS:
        return {"late": True, **place, "step": params["start"]}
    with PeakMemory() as peak:
        known = LEARNERS.knows(Which.of(params))
        learner, progress = start(params)
        before = progress.seconds
        shard = SETS.open(params["shard"], {name: params["get"][name] for name in params["arrays"]})
        if params["next"]:
            SETS.fetch_ahead(params["next"])
        lane = Lane(learner, Schedule(**params["schedule"]), progress, params["micro"])
        started = time.time() - began
        data = as_data(shard, params)
        step = train_lane(params, lane, data, deadline, lambda: (time.time() - began, peak.bytes))
    spent = {"seconds": time.time() - began, "start_seconds": started, "train_seconds": progress.seconds - before}
    return {**place, "step": step, **spent, "memory": peak.bytes, "warm": known}


def start(params: dict[str, Any]) -> tuple[Learner, Progress]:
    """Return the learner in the slice's first state, and where that state stands."""
    get = params["get"]
    learner = LEARNERS.take(get["model"], Which.of(params), initial=not get["state"], example=params.get("example"))
    progress = Progress(learner.rules, params["round"], params["lane"], 0, decays=learner.decays)
    if get["state"]:
        tensors, metadata = transfer.fetch_state(get["state"])
        learner.import_state(tensors)
        progress = Progress.unpack(metadata) if params["start"] else progress
    if params["start"] == 0:
        if get["state"] and params["schedule"]["workers"] > 1:
            learner.project()
        if params["validation"]:
            progress.start_sums = validate(learner, params, SETS)
        if params["rate"] is not None:
            learner.set_rate(params["rate"])
        learner.set_seeds(params["schedule"]["seed"], params["round"], params["lane"])
    progress.processors = sorted({*progress.processors, processor.present()})
    return learner, progress


def train_lane(params: dict[str, Any], lane: Lane, data: Data, deadline: float, measure: Any) -> int:
    """Train to the last offered step that can be reached in time; return the last saved one."""
    urls, learner, progress = dict(params["put"]), lane.learner, lane.progress
    earlier, memory = progress.activation_seconds, progress.memory

    def save() -> None:
        if progress.step == lane.total and params["weighs_by_accuracy"]:
            held = validation_set(params, SETS)
            progress.validation = learner.evaluate(held, f"after round {progress.round}")
        tensors = learner.export_state()
        check_weights(tensors, progress)
        spent, peak = measure()
        progress.activation_seconds, progress.memory = earlier + spent, max(memory, peak)
        transfer.put_state(urls[progress.step], tensors, progress.pack())

    if 0 in urls and (params["keep_start"] or learner.decays):  # what averages of later rounds, or of this one, need
        save()
    saved = lane.run(data, sorted(urls.keys() - {0}), deadline, save)
    return params["start"] if saved is None else saved
