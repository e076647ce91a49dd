"""The lease of a wave: how long another driver must take the one that started it to live; used by the reducer.

A wave's entry in the ledger is a lease on its slices until the wave's deadline. It is renewed while the wave's join
looks at the store, and while its driver waits for what a lost join left; where that is silent, the driver is dead.
Nothing but time hangs on it: two drivers that both live do the same work, and the store keeps it once.
"""

import json

from common.rounds.ledger import Wave
from common.storage import keys
from common.storage.run import Run

SILENCE_SECONDS = 20.0  # two looks of the longest wave, and a container's start between them


def renew(run: Run, wave: Wave, now: float) -> None:
    """Say that the driver of a wave lives."""
    run.objects.replace(run.at(keys.LEASE), json.dumps({"wave": wave.wave, "time": now}).encode())


def end(run: Run, wave: Wave) -> float:
    """Return until when the driver of a wave must be taken to live, in epoch seconds."""
    held = run.find_json(keys.LEASE)
    heard = held["time"] if held and held["wave"] == wave.wave else wave.issued
    return float(min(wave.deadline, heard + SILENCE_SECONDS))
