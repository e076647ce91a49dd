"""Reducer: averages a whole round and writes the next wave; called before each wave, and once more to see the end.

While a wave lasts, its join asks now and then what the store says of it (`look`). First step of the sequence `model`,
it gives the slice that saves a `round`.
"""

import os
import time
from typing import Any

from common.errors import classified
from common.plan import plan as plans
from common.rounds import drive, pace, slices
from common.split import wave as split_wave
from common.storage.objects import Objects
from common.storage.run import Run


@classified
def main(args: dict[str, Any]) -> dict[str, Any]:
    """Return the next wave's slices (`value`, maybe none yet) and whether the run is still `pending`."""
    run = Run(Objects(args["s3"]), args["run"])
    if args.get("look"):
        plan, wave = plans.read(run), args.get("wave")
        whole = split_wave.look(run, plan, wave) if isinstance(wave, str) else drive.look(run, plan, wave, time.time())
        return {"whole": whole}
    if "round" in args:
        return slices.saved(run, plans.read(run), args["round"])
    until = float(os.environ.get("__OW_DEADLINE", (time.time() + 300) * 1000)) / 1000
    turn, plan = drive.Turn.of(args, until, pace.read_limits(os.environ["__OW_API_HOST"])), plans.read(run)
    with turn.working(run):
        wave, pending = drive.take(run, plan, turn)
    value = slices.values(run, plan, wave) if wave else []
    return {"run": run.name, "pending": pending, "wave": wave.wave if wave else turn.wave, "value": value}
