"""The throttle, shared by the namespace's live runs through the store; used by planner and reducer.

OpenWhisk counts a namespace's invocations by the wall-clock minute, and its activations in flight. A run enters here
what it is about to start, before it does. The entries are a chain: each holds the whole standing and is created under
the number after the newest, so that of two runs that enter at once one looks again, and nothing is given twice.
"""

import json
import zlib
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace

from common.rounds.ledger import LONGEST_SECONDS
from common.rounds.pace import HELD, RESERVED, Limits
from common.storage.objects import Location, Objects

FOLDER = "throttle/"
KEPT = 16  # entries: a listing costs by the key; who is overtaken by so many while it enters may be refused its wave
PRESENCE_SECONDS = 90.0  # without a word from a run that has nothing in flight
SLACK_SECONDS = 5.0  # from a wave's deadline to the end of its join
SPREAD_SECONDS = 3.0  # over which the runs that wait for a minute come back


@dataclass(frozen=True)
class Flight:
    """A live run: branches in flight, beside the one activation that drives it, and until when they may be."""

    branches: int
    until: float  # epoch seconds


@dataclass(frozen=True)
class Standing:
    """What the namespace's runs have started."""

    minute: int = 0
    spent: int = 0  # invocations in that minute
    flights: Mapping[str, Flight] = field(default_factory=dict)  # by run

    def at(self, now: float) -> "Standing":
        """Return what of it still counts."""
        latest = now + LONGEST_SECONDS + PRESENCE_SECONDS  # more is another clock's
        flights = {run: flight for run, flight in self.flights.items() if now < flight.until <= latest}
        return Standing(minute(now), self.spent if self.minute == minute(now) else 0, flights)

    def room(self, run: str, wanted: int, limits: Limits) -> int:
        """Return how many branches a run may start: `wanted`, or what is left of the minute; or 0.

        Beside many live runs it may never be `wanted`: each has an activation in flight that drives it.
        """
        others = [flight.branches for name, flight in self.flights.items() if name != run]
        most = max(1, limits.at_once - HELD - len(others))
        branches = min(wanted, most)
        left = max(0, self.left(limits)) if self.spent else max(branches, self.left(limits))
        return min(branches, left) if sum(others) + branches <= most else 0

    def left(self, limits: Limits) -> int:
        """Return how many invocations the minute has left for runs."""
        return limits.per_minute - RESERVED - self.spent

    def enter(self, run: str, branches: int, until: float, spent: int) -> "Standing":
        """Return the standing after a run has started branches, in place of what it had in flight before."""
        flights = {**self.flights, run: Flight(branches, until)}
        return replace(self, spent=self.spent + spent, flights=flights)

    def leave(self, run: str) -> "Standing":
        """Return the standing without a run."""
        return replace(self, flights={name: flight for name, flight in self.flights.items() if name != run})


def minute(time: float) -> int:
    """Return the wall-clock minute, as OpenWhisk counts."""
    return int(time // 60)


class Throttle:
    """The chain of standings in a deployment's bucket, as one run sees it."""

    def __init__(self, objects: Objects, run: str, limits: Limits) -> None:
        self.objects, self.run, self.limits = objects, run, limits

    def take(self, wanted: int, seconds: float, now: float) -> tuple[int, float]:
        """Enter a wave of at most `wanted` branches that may last so long.

        Return how many may start; when none, how long to wait before asking again.
        """
        found = 0, 0.0

        def change(standing: Standing) -> Standing | None:
            nonlocal found
            granted = standing.room(self.run, wanted, self.limits)
            found = granted, self.pause(now, full=standing.left(self.limits) <= 0)
            if granted:
                return standing.enter(self.run, granted, now + seconds + SLACK_SECONDS, granted)
            held = standing.flights.get(self.run)
            known = held is not None and held.branches == 0 and held.until > now + PRESENCE_SECONDS / 2
            return None if known else standing.enter(self.run, 0, now + PRESENCE_SECONDS, 0)

        self.amend(change, now)
        return found

    def begin(self, branches: int, seconds: float, invocations: int, now: float) -> bool:
        """Enter a run's start, of so many invocations, and its warm-up where there is room; return whether there is.

        Beside other runs there is none: the minute is theirs, too, and a warm-up hides no more than seconds.
        """
        room = False

        def change(standing: Standing) -> Standing:
            nonlocal room
            alone = not standing.flights.keys() - {self.run}
            room = branches > 0 and alone and standing.room(self.run, branches, self.limits) == branches
            if room:
                return standing.enter(self.run, branches, now + seconds + SLACK_SECONDS, invocations + branches)
            held = standing.flights.get(self.run, Flight(0, now + PRESENCE_SECONDS))  # the invocation before may live
            return standing.enter(self.run, held.branches, held.until, invocations)

        self.amend(change, now)
        return room

    def leave(self, now: float) -> None:
        """Take the run out, which has nothing in flight any more."""
        self.amend(lambda standing: standing.leave(self.run) if self.run in standing.flights else None, now)

    def pause(self, now: float, full: bool) -> float:
        """Return how long to wait, each run for a time of its own; `full`: into the next minute."""
        part = zlib.crc32(f"{self.run} {minute(now)}".encode()) / 2**32
        return 60 * (minute(now) + 1) - now + 0.5 + SPREAD_SECONDS * part if full else 0.5 + part

    def amend(self, change: Callable[[Standing], Standing | None], now: float) -> None:
        """Append what a change makes of the standing, None: nothing."""
        while True:
            number, standing = self.newest()
            changed = change(standing.at(now))
            if changed is None or self.objects.create(self.at(number + 1), json.dumps(asdict(changed)).encode()):
                return

    def newest(self) -> tuple[int, Standing]:
        """Return the newest entry, and remove one that is long past."""
        numbers = sorted(int(key[len(FOLDER) : -len(".json")]) for key in self.objects.sizes(FOLDER))
        if not numbers:
            return -1, Standing()
        for number in numbers[:-KEPT]:
            self.objects.delete(self.at(number))
        body = self.objects.find(self.at(numbers[-1]))
        if body is None:  # overtaken meanwhile
            return self.newest()
        held = json.loads(body)
        flights = {run: Flight(**flight) for run, flight in held.pop("flights").items()}
        return numbers[-1], Standing(**held, flights=flights)

    def at(self, number: int) -> Location:
        """Return where an entry lies."""
        return Location(self.objects.bucket, f"{FOLDER}{number:012d}.json")
