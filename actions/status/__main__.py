"""Status: a run's progress, or the newest runs; cancels a run; keeps the failures that the pipeline hands it."""

from typing import Any

from common import progress, warm_up
from common.run import Run
from common.store import Objects


def main(args: dict[str, Any]) -> dict[str, Any]:
    """Return the run's standing; without `run`, the newest runs."""
    objects = Objects(args["s3"])
    failure = text(args.get("failure"))
    if not args.get("run"):
        return {"failure": failure} if failure else {"runs": progress.runs(objects)}
    this = Run(objects, str(args["run"]))
    if failure:
        progress.record(this, failure)
        return {"run": this.name, "failure": failure}
    if args.get("cold") is True:
        warm_up.give_up(this)
        return {"run": this.name, "cold": True}
    if args.get("cancel") is True:
        progress.cancel(this)
    return progress.standing(this)


def text(failure: Any) -> str | None:
    """Return a failure in one line; OpenWhisk's errors may be objects."""
    return None if failure is None else " ".join(str(failure).split())
