"""What the inspection refused: put aside below `rejected/`, so that its slice is tried again; used by the reducer.

Objects are created once, so a refused one must leave its name. Two reducers that refuse the same do it once.
"""

import time
from collections.abc import Sequence

from common.rounds.ledger import Wave
from common.storage import keys
from common.storage.run import Run


def reject(run: Run, newest: Wave | None, number: int, lane: int, reason: str, held: Sequence[str]) -> None:
    """Move what a lane left in a round, the reason first: it counts as an attempt, once after each wave."""
    wave = newest.wave if newest else 0
    place = {"wave": wave, "round": number, "lane": lane}
    document = {**place, "reason": reason, "objects": list(held), "time": time.time()}
    run.create_json(keys.rejection_key(wave, number, lane), document)
    for key in held:
        run.move(key, keys.rejected_key(wave, key))


def times(run: Run, number: int, lane: int) -> int:
    """Return how often what a lane left in a round was refused."""
    return sum(place == (number, lane) for place in map(keys.read_rejection_key, run.sizes(keys.REJECTED)))


def warnings(run: Run) -> list[str]:
    """Return a sentence for each refusal of the run."""
    known = [key for key in sorted(run.sizes(keys.REJECTED)) if keys.read_rejection_key(key)]
    refusals = [held for key in known if (held := run.find_json(key))]
    return [f"lane {one['lane']} of round {one['round']} was tried again: {one['reason']}" for one in refusals]
