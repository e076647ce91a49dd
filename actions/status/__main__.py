"""Status: a run's progress, or the newest runs; cancels a run; keeps the failures that the pipeline hands it."""

import time
from typing import Any

from common.errors import classified, one_line
from common.reports import progress
from common.rounds import warm_up
from common.storage.objects import Objects
from common.storage.run import Run


def main(args: dict[str, Any]) -> dict[str, Any]:
    """Return the run's standing; without `run`, the newest runs. `failure` and `cold` need the run's token."""
    return written(args) if args.get("failure") is not None or args.get("cold") else standing(args)


@classified
def written(args: dict[str, Any]) -> dict[str, Any]:
    """Keep a failure of the pipeline, or of its warm-up alone (`cold`)."""
    run = Run(Objects(args["s3"]), args["run"])
    progress.check_token(run, args.get("token"))
    failure = None if args.get("failure") is None else one_line(str(args["failure"]))
    if args.get("cold"):
        warm_up.give_up(run, failure)
        return {"run": run.name, "cold": True}
    progress.record(run, str(failure))
    return {"run": run.name, "failure": failure}


def standing(args: dict[str, Any]) -> dict[str, Any]:
    """Return the run's standing, once it is cancelled where that is asked for."""
    objects = Objects(args["s3"])
    if not args.get("run"):
        return {"runs": progress.runs(objects)}
    run = Run(objects, str(args["run"]))
    if args.get("cancel") is True:
        progress.cancel(run)
    return progress.standing(run, time.time())
