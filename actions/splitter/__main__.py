"""Splitter: writes the run's shards and held-out sets; called again while `pending`.

Of a large dataset it gives waves of splitters instead, each called with `slices`, then puts together what they left.
"""

import os
import time
from typing import Any

from common.errors import classified
from common.plan import plan as plans
from common.rounds import pace
from common.rounds.drive import Turn
from common.split import driver
from common.storage.beat import beating
from common.storage.objects import Objects
from common.storage.run import Run


@classified
def main(args: dict[str, Any]) -> dict[str, Any]:
    """Return the next wave's slices (`value`, maybe none) and whether the split needs another call."""
    run = Run(Objects(args["s3"]), args["run"])
    plan, until = plans.read(run), float(os.environ.get("__OW_DEADLINE", (time.time() + 300) * 1000)) / 1000
    if "slices" in args:
        with beating(run):
            return {"run": run.name, "slices": driver.carry_out(run, plan, args["slices"], until)}
    turn = Turn.of(args, until, pace.read_limits(os.environ["__OW_API_HOST"]))
    with turn.working(run):
        value, pending = driver.take(run, plan, turn)
    return {"run": run.name, "pending": pending, "value": value}
