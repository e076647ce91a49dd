"""Evaluator: measures the trained model, leaves `final.keras` and the report, and gives the pipeline's result."""

import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from common import report, state
from common import run as keys
from common.memory import PeakMemory
from common.model import Learner
from common.plan import Plan, blocks
from common.run import Run
from common.store import Objects

WEIGHTS = ("trainable.", "weight.")


def main(args: dict[str, Any]) -> dict[str, Any]:
    """Return the result of a trained run; a run that has one already gives it again."""
    began = time.time()
    this = Run(Objects(args["s3"]), args["run"])
    known = this.find_json(keys.REPORT)
    if known is not None:
        return dict(known)
    plan = this.plan()
    with tempfile.TemporaryDirectory() as folder, PeakMemory() as peak:
        scores, left = judge(this, plan, Path(folder))
    result = {"run": this.name, **report.judgement(scores), **report.facts(this, plan, began, peak.bytes), **left}
    objects = this.objects
    objects.create(this.at(keys.HISTORY), report.table(result["rounds"]).encode())
    objects.create(this.at(keys.REPORT_PAGE), report.page(result, plan["parameters"]).encode())
    this.create_json(keys.REPORT, result)  # last: it ends the run
    return dict(this.find_json(keys.REPORT) or result)


def judge(this: Run, plan: Plan, folder: Path) -> tuple[dict[str, Any], dict[str, str]]:
    """Measure the last average on all held-out examples and leave it as a `.keras` file."""
    wanted = {
        "initial": keys.INITIAL,
        "state": keys.model_key(plan["rounds"]),
        "x": keys.part_key(plan["evaluate_on"], "x"),
        "y": keys.part_key(plan["evaluate_on"], "y"),
    }
    files = {name: folder / Path(key).name for name, key in wanted.items()}
    for name, key in wanted.items():
        this.objects.download(this.at(key), files[name])
    learner = Learner(files["initial"], plan["learning_rate"])
    tensors, _ = state.load(files["state"])
    learner.import_state(tensors)
    learner.finish()
    x, y = (np.load(files[name], mmap_mode="r") for name in ("x", "y"))
    scores = learner.evaluate(x, y, f"after round {plan['rounds'] - 1}")
    learner.save(folder / keys.FINAL)
    this.objects.create_from(this.at(keys.FINAL), blocks(folder / keys.FINAL))
    weights = {name: tensor for name, tensor in learner.export_state().items() if name.startswith(WEIGHTS)}
    return scores, {"weights_sha256": state.digest(weights), "final": str(this.at(keys.FINAL))}
