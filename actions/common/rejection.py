"""What the inspection refused: put aside below `rejected/`, so that its slice is tried again; used by the reducer.

Objects are created once, so a refused one must leave its name. Two reducers that refuse the same do it once.
"""

import time
from collections.abc import Sequence

from common import run as keys
from common.ledger import Wave
from common.run import Run


def reject(this: Run, newest: Wave | None, number: int, lane: int, reason: str, held: Sequence[str]) -> None:
    """Move what a lane left in a round, the reason first: it counts as an attempt, once after each wave."""
    wave = newest.wave if newest else 0
    told = {"wave": wave, "round": number, "lane": lane, "reason": reason, "objects": list(held), "time": time.time()}
    this.create_json(keys.rejection_key(wave, number, lane), told)
    for key in held:
        this.move(key, keys.rejected_key(wave, key))


def times(this: Run, number: int, lane: int) -> int:
    """Return how often what a lane left in a round was refused."""
    return sum(place == (number, lane) for place in map(keys.read_rejection_key, this.sizes(keys.REJECTED)))


def warnings(this: Run) -> list[str]:
    """Return a sentence for each refusal of the run."""
    known = [key for key in sorted(this.sizes(keys.REJECTED)) if keys.read_rejection_key(key)]
    told = [held for key in known if (held := this.find_json(key))]
    return [f"lane {one['lane']} of round {one['round']} was tried again: {one['reason']}" for one in told]
