"""Status: a run's progress, or the newest runs; cancels a run; keeps the failures that the pipeline hands it."""

import time
from typing import Any

from common import progress, warm_up
from common.errors import one_line
from common.run import Run
from common.store import Objects


def main(args: dict[str, Any]) -> dict[str, Any]:
    """Return the run's standing; without `run`, the newest runs. `failure` and `cold` need the run's token."""
    objects = Objects(args["s3"])
    if not args.get("run"):
        return {"runs": progress.runs(objects)}
    this = Run(objects, str(args["run"]))
    failure = None if args.get("failure") is None else one_line(str(args["failure"]))
    if failure or args.get("cold"):
        progress.check_token(this, args.get("token"))
    if args.get("cold"):
        warm_up.give_up(this, failure)
        return {"run": this.name, "cold": True}
    if failure:
        progress.record(this, failure)
        return {"run": this.name, "failure": failure}
    if args.get("cancel") is True:
        progress.cancel(this)
    return progress.standing(this, time.time())
