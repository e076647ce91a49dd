"""Status: a run's progress, or the newest runs; cancels a run; keeps the failures that the pipeline hands it."""

import time
from typing import Any

from common import progress, warm_up
from common.errors import classified, one_line
from common.run import Run
from common.store import Objects


def main(args: dict[str, Any]) -> dict[str, Any]:
    """Return the run's standing; without `run`, the newest runs. `failure` and `cold` need the run's token."""
    return written(args) if args.get("failure") is not None or args.get("cold") else told(args)


@classified
def written(args: dict[str, Any]) -> dict[str, Any]:
    """Keep a failure of the pipeline, or of its warm-up alone (`cold`)."""
    this = Run(Objects(args["s3"]), args["run"])
    progress.check_token(this, args.get("token"))
    failure = None if args.get("failure") is None else one_line(str(args["failure"]))
    if args.get("cold"):
        warm_up.give_up(this, failure)
        return {"run": this.name, "cold": True}
    progress.record(this, str(failure))
    return {"run": this.name, "failure": failure}


def told(args: dict[str, Any]) -> dict[str, Any]:
    """Return the run's standing, once it is cancelled where that is asked for."""
    objects = Objects(args["s3"])
    if not args.get("run"):
        return {"runs": progress.runs(objects)}
    this = Run(objects, str(args["run"]))
    if args.get("cancel") is True:
        progress.cancel(this)
    return progress.standing(this, time.time())
