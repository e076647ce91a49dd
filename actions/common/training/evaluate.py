"""The slices that need an average: one evaluates a share of the held-out set, one saves a file; used by the trainer."""

import tempfile
import time
from pathlib import Path
from typing import Any

from common.plan.schedule import sample
from common.storage import state, transfer
from common.training.lane import MARGIN_SECONDS
from common.training.memory import PeakMemory
from common.training.model import Data, Learner, Sums, rows_of
from common.training.warm import Arrays, Learners, Which, as_data

WEIGHTS = ("trainable.", "weight.")


def evaluate(params: dict[str, Any], learners: Learners, sets: Arrays) -> dict[str, Any]:
    """Do a slice of the evaluation, and leave in the store what it found."""
    began = time.time()
    place = {name: params[name] for name in ("run", "wave", "round", "lane", "start")}
    if began > params["deadline"] - MARGIN_SECONDS:
        return {"late": True, **place, "step": 0}
    with PeakMemory() as peak:
        learner = trained(params, learners)
        held = sets.open(params["set"], {name: params["get"][name] for name in params["held_arrays"]})
        found = measured(learner, as_data(held, params), params)
        if params["validation"]:
            found["validation_sums"] = measured_sums(learner, params, sets)
        if params["makes_final"]:
            found["final_md5"] = leave(learner, params["final"])
        if params["get"]["other"]:
            get = {**params["get"], "state": params["get"]["other"]}
            found["other_sums"] = measured_sums(trained({**params, "get": get}, learners), params, sets)
    spent = {"seconds": time.time() - began, "memory": peak.bytes}
    transfer.put_json(params["put"], {**found, **spent})
    return {**place, "step": 1, **spent}


def save(params: dict[str, Any], learners: Learners) -> dict[str, Any]:
    """Leave the average of a round as a `.keras` file; return where."""
    leave(trained(params, learners), params["put"])
    return {name: params[name] for name in ("run", "round", "file")}


def trained(params: dict[str, Any], learners: Learners) -> Learner:
    """Return the learner with an average as its weights, finished as Model.fit does it, its promises kept."""
    get = params["get"]
    learner = learners.take(get["model"], Which.of(params), initial=False, example=params.get("example"))
    learner.import_state(transfer.fetch_state(get["state"])[0])
    learner.finish()
    if params["averaged"]:
        learner.project()
    return learner


def measured(learner: Learner, data: Data, params: dict[str, Any]) -> dict[str, Any]:
    """Return loss and metrics of the share, the sums they are quotients of, and the digest of the weights."""
    share = rows_of(data, slice(*params["rows"]))
    scores = learner.evaluate(share, f"after round {params['round'] - 1}")
    weights = {name: tensor for name, tensor in learner.export_state().items() if name.startswith(WEIGHTS)}
    return {"scores": scores, "sums": learner.sums(), "weights_sha256": state.digest(weights)}


def validate(learner: Learner, params: dict[str, Any], sets: Arrays) -> Sums:
    """Return the sums of loss and metrics of a round's start on the lane's share; the learner's state stays."""
    if not learner.finishes:
        return measured_sums(learner, params, sets)
    with tempfile.TemporaryDirectory() as folder:
        started = Path(folder) / "started.safetensors"  # on the disk: memory holds one state, not two
        state.save(started, learner.export_state(), {})
        learner.finish()
        sums = measured_sums(learner, params, sets)
        learner.import_state(state.load(started)[0])
    return sums


def measured_sums(learner: Learner, params: dict[str, Any], sets: Arrays) -> Sums:
    """Return the sums of loss and metrics on the lane's share of a sample of the validation set."""
    rows = sample(*params["validation"]["sample"])[slice(*params["validation"]["rows"])]
    if not len(rows):
        return {}
    learner.evaluate(validation_set(params, sets), f"after round {params['round'] - 1}", rows)
    return learner.sums()


def validation_set(params: dict[str, Any], sets: Arrays) -> Data:
    """Return the set that averages are evaluated on, on the way."""
    key = params["validation"]["set"] if params["validation"] else f"{params['run']}/validation"
    return as_data(
        sets.open(key, {name: params["get"][f"validation_{name}"] for name in params["held_arrays"]}), params
    )


def leave(learner: Learner, url: str | None) -> str:
    """Make the model's `.keras` file, upload it where there is a URL, and return its MD5 in hexadecimal."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "final.keras"
        learner.save(path)
        digest = transfer.md5(path)
        if url:
            transfer.put(url, path, digest)
    return digest.hex()
