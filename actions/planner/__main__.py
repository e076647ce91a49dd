"""Planner: checks every parameter of dl-pipeline and fixes the run's plan, or takes up an existing run."""

import os
import time
from typing import Any

from common.errors import classified
from common.plan import request
from common.plan.settle import settle
from common.reports import progress
from common.rounds import pace, warm_up
from common.storage import reads
from common.storage.run import Run

OWN = ("s3", "reads", "trainers", "invocation", "uploaded")  # what is no parameter of a run
TRAINERS = {"trainer": 384}  # MB, where the manifest names none


@classified
def main(args: dict[str, Any]) -> dict[str, Any]:
    """Return the run's name, a token of this invocation, which drives the run, and the slices of its warm-up.

    dl-pipeline hands its parameters on as `given`, beside its own `invocation`: id and time, the same in every try.
    """
    objects = reads.inputs(args)
    invocation = args.get("invocation") or {"id": os.environ.get("__OW_ACTIVATION_ID", ""), "time": time.time()}
    given = args["given"] if "given" in args else {name: value for name, value in args.items() if name not in OWN}
    settled = settle(objects, request.given_parameters(objects, given), invocation, args.get("trainers") or TRAINERS)
    run = Run(objects, settled.run)
    progress.begin(run, invocation)
    value = warm_up.begin(run, settled, pace.read_limits(os.environ["__OW_API_HOST"]), time.time())
    return {"run": run.name, "driver": invocation["id"], "token": settled.token, "value": value}
