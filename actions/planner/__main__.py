"""Planner: checks every parameter of dl-pipeline and fixes the run's plan, or takes up an existing run."""

import os
import time
from typing import Any

from common import pace, plan, run, warm_up
from common.store import Objects


def main(args: dict[str, Any]) -> dict[str, Any]:
    """Return the run's name, a token of this invocation, which drives the run, and the slices of its warm-up."""
    objects = Objects(args["s3"])
    activation = os.environ.get("__OW_ACTIVATION_ID", "")
    given = plan.given_parameters(objects, {name: value for name, value in args.items() if name != "s3"})
    settled = plan.settle(objects, given, activation)
    this = run.Run(objects, settled["run"])
    objects.delete(this.at(run.CANCEL))
    value = warm_up.begin(this, settled, pace.read_limits(os.environ["__OW_API_HOST"]), time.time())
    return {"run": this.name, "driver": activation, "value": value}
