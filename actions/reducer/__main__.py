"""Reducer: averages a whole round and writes the next wave; called before each wave, and once more to see the end.

While a wave lasts, its join asks now and then what the store says of it (`look`).
"""

import os
import time
from typing import Any

from common import drive, pace, slices
from common.beat import beating
from common.errors import RunError, classified
from common.run import Run
from common.store import Objects
from common.throttle import Throttle


@classified
def main(args: dict[str, Any]) -> dict[str, Any]:
    """Return the next wave's slices (`value`, maybe none yet) and whether the run is still `pending`."""
    this = Run(Objects(args["s3"]), args["run"])
    if args.get("look"):
        return {"whole": drive.look(this, this.plan(), args.get("wave"), time.time())}
    turn = drive.Turn(
        driver=args.get("driver", ""),
        wave=args.get("wave"),
        items=args.get("items") or [],
        lost=None if args.get("lost") is None else str(args["lost"]),
        until=float(os.environ.get("__OW_DEADLINE", (time.time() + 300) * 1000)) / 1000,
        limits=pace.read_limits(os.environ["__OW_API_HOST"]),
    )
    plan = this.plan()
    try:
        with beating(this):
            wave, pending = drive.take(this, plan, turn)
    except RunError:
        Throttle(this.objects, this.name, turn.limits).leave(time.time())
        raise
    value = slices.values(this, plan, wave) if wave else []
    return {"run": this.name, "pending": pending, "wave": wave.wave if wave else turn.wave, "value": value}
