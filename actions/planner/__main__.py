"""Planner: checks every parameter of dl-pipeline and fixes the run's plan, or takes up an existing run."""

import os
import time
from typing import Any

from common import pace, plan, progress, reads, request, run, warm_up
from common.errors import classified

OWN = ("s3", "reads", "invocation", "uploaded")  # what is no parameter of a run


@classified
def main(args: dict[str, Any]) -> dict[str, Any]:
    """Return the run's name, a token of this invocation, which drives the run, and the slices of its warm-up.

    dl-pipeline hands its parameters on as `given`, beside its own `invocation`: id and time, the same in every try.
    """
    objects = reads.inputs(args)
    invocation = args.get("invocation") or {"id": os.environ.get("__OW_ACTIVATION_ID", ""), "time": time.time()}
    given = args["given"] if "given" in args else {name: value for name, value in args.items() if name not in OWN}
    settled = plan.settle(objects, request.given_parameters(objects, given), invocation)
    this = run.Run(objects, settled["run"])
    progress.begin(this, invocation)
    value = warm_up.begin(this, settled, pace.read_limits(os.environ["__OW_API_HOST"]), time.time())
    return {"run": this.name, "driver": invocation["id"], "token": settled["token"], "value": value}
