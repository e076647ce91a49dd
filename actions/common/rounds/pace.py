"""What the platform allows: how many branches a wave may have, and how long it may last; used by the reducer.

Each branch of a wave is a REST invocation of its own: OpenWhisk counts them by the wall-clock minute and by how many
are in flight.
"""

import json
import math
import urllib.request
from dataclasses import dataclass

from common.rounds.ledger import LONGEST_SECONDS, Wave

RESERVED = 8  # invocations a minute left to people: starting runs, asking for their status
HELD = 2  # in flight beside the branches: the conductor that joins them, and one more
FIRST_SECONDS = 120.0  # while nothing has been measured; a slice that is longer saves and goes on in the next wave
MARGIN_SECONDS = 30.0


@dataclass(frozen=True)
class Limits:
    """What the platform allows a namespace: invocations a minute, and in flight at once."""

    per_minute: int
    at_once: int

    @property
    def lanes(self) -> int:
        """The most branches that one wave may have."""
        return max(1, min(self.at_once - HELD, self.per_minute - RESERVED))


STOCK = Limits(per_minute=60, at_once=30)


def read_limits(host: str) -> Limits:
    """Ask the platform for its limits (the root document needs no key); the stock ones where it does not tell."""
    try:
        with urllib.request.urlopen(f"{host}/", timeout=10) as answer:
            limits = json.load(answer)["limits"]
        return Limits(int(limits["actions_per_minute"]), int(limits["concurrent_actions"]))
    except (OSError, ValueError, KeyError, TypeError):
        return STOCK


def allowance(expected: float | None, newest: Wave | None, late: bool) -> float:
    """Return how long a wave may last: tight, so that a dead driver is noticed; doubled while slices queue too long."""
    seconds = FIRST_SECONDS if expected is None else 2 * expected + MARGIN_SECONDS
    if late and newest:
        seconds = max(seconds, 2 * (newest.deadline - newest.issued))
    return math.ceil(min(seconds, LONGEST_SECONDS))
