"""Splitter: writes the run's shards and held-out sets; called again while `pending`."""

import os
import time
from typing import Any

from common.errors import classified
from common.plan import plan as plans
from common.split.split import split
from common.storage.beat import beating
from common.storage.objects import Objects
from common.storage.run import Run


@classified
def main(args: dict[str, Any]) -> dict[str, Any]:
    """Return whether the split needs another call."""
    run = Run(Objects(args["s3"]), args["run"])
    deadline = float(os.environ.get("__OW_DEADLINE", (time.time() + 300) * 1000)) / 1000
    with beating(run):
        return {"run": run.name, "pending": not split(run, plans.read(run), deadline)}
