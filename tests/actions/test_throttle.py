"""The throttle that runs share, on a real store: nothing is given twice, and nobody waits longer than must be."""

import heapq
import threading
from collections import Counter

import pytest

from common.rounds import throttle as shared
from common.rounds.pace import RESERVED, STOCK, Limits
from common.rounds.throttle import Throttle


@pytest.fixture
def join(throttle):
    """Give a function that makes a run's throttle in a fresh namespace."""
    return lambda run, limits=STOCK: Throttle(throttle, run, limits)


def test_runs_that_enter_at_once_are_given_the_minute_once(join):
    granted = []

    def enter(run):
        throttle = join(run, Limits(60, 1000))
        granted.extend([throttle.take(4, 60, 6000.0)[0] for _ in range(2)])

    threads = [threading.Thread(target=enter, args=(f"r{k}",)) for k in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert Counter(granted) == {4: 13, 0: 3}
    assert join("r0").newest()[1].spent == 52 == 60 - RESERVED


def test_a_new_minute_begins_anew(join):
    throttle = join("r", Limits(60, 1000))
    times = (6001.0, 6002.0, 6059.9, 6060.0, 6061.0)
    assert [throttle.take(28, 60, now)[0] for now in times] == [28, 24, 0, 28, 24]


@pytest.mark.parametrize(
    ("live", "wanted", "granted"),
    [
        ({}, 28, 28),
        ({}, 29, 28),
        ({"a": 4}, 28, 0),  # 27 when it is alone: it waits
        ({"a": 0}, 28, 27),  # never more: the other one drives
        ({"a": 4, "b": 4, "c": 4}, 4, 4),
        ({"a": 10, "b": 10}, 7, 0),
        ({"a": 10, "b": 10}, 6, 6),
        ({"me": 28}, 28, 28),  # its own wave before is over
        ({str(k): 0 for k in range(27)}, 4, 1),
        ({str(k): 0 for k in range(40)}, 4, 1),
        ({**{str(k): 0 for k in range(40)}, "a": 1}, 4, 0),
    ],
)
def test_what_is_in_flight_leaves_room(live, wanted, granted):
    flights = {run: shared.Flight(branches, 7000.0) for run, branches in live.items()}
    assert shared.Standing(100, 0, flights).room("me", wanted, STOCK) == granted


def test_who_is_silent_or_ended_leaves_room(join):
    limits = Limits(6000, 30)
    first, second = join("first", limits), join("second", limits)
    assert (first.take(20, 60, 6000.0)[0], second.take(20, 60, 6001.0)[0]) == (20, 0)
    assert second.take(20, 60, 6065.1)[0] == 20  # the first one's wave must be over
    assert first.take(20, 60, 6066.0)[0] == 0
    second.leave(6067.0)
    assert first.take(20, 60, 6068.0)[0] == 20
    assert join("third", limits).take(28, 60, 1e9)[0] == 28  # another clock's waves do not count


def test_a_start_counts_and_warms_up_where_there_is_room(join):
    assert join("a").begin(29, 30, 1, 6000.0) is False  # more than may be in flight
    assert join("a").begin(5, 30, 1, 6000.0) is True
    assert join("b").begin(5, 30, 1, 6000.0) is False  # the minute is a's, too
    number, standing = join("c").newest()
    assert (standing.spent, {run: flight.branches for run, flight in standing.flights.items()}) == (8, {"a": 5, "b": 0})
    assert join("a").begin(0, 0, 1, 6000.0) is False
    assert join("c").newest()[1].flights["a"].branches == 5  # its warm-up goes on
    join("b").leave(6000.0)
    join("b").leave(6000.0)
    assert join("c").newest()[0] == number + 2


def test_a_run_that_waits_writes_once(join):
    busy, waits = join("busy"), join("waits")
    assert busy.take(28, 300, 6000.0)[0] == 28
    for second in range(40):
        assert waits.take(4, 60, 6000.0 + second)[0] == 0
    assert join("c").newest()[0] == 1


def test_entries_that_are_long_past_are_removed(join, monkeypatch):
    monkeypatch.setattr(shared, "KEPT", 3)
    throttle = join("r", Limits(6000, 30))
    for second in range(9):
        assert throttle.take(2, 60, 6000.0 + second)[0] == 2
    assert throttle.newest()[1].spent == 18
    assert [int(key[9:-5]) for key in throttle.objects.sizes(shared.FOLDER)] == [6, 7, 8]


@pytest.mark.parametrize(("full", "low", "high"), [(False, 0.5, 1.5), (True, 50.5, 53.5)])
def test_each_run_comes_back_at_a_time_of_its_own(join, full, low, high):
    pauses = [join(f"run-{k}").pause(6010.0, full) for k in range(20)]
    assert all(low <= pause <= high for pause in pauses)
    assert max(pauses) - min(pauses) > (high - low) / 2
    assert len({round(pause, 3) for pause in pauses}) > 15


def test_who_is_given_nothing_is_told_when_to_ask_again(join):
    assert join("a").take(28, 60, 6010.0)[0] == 28
    granted, pause = join("b").take(4, 60, 6011.0)
    assert granted == 0 and 0.5 <= pause <= 1.5  # a's wave may end at any time
    join("a").take(24, 60, 6012.0)
    granted, pause = join("a").take(4, 60, 6013.0)
    assert granted == 0 and 47.5 <= pause <= 50.5


class Platform:
    """OpenWhisk's own count, which refuses what is too much: by the minute, and in flight."""

    def __init__(self, limits):
        self.limits, self.minutes, self.flights = limits, Counter(), []

    def fork(self, now, branches, lasts, live):
        """Start branches beside the activation that drives each live run; AssertionError where one is refused."""
        self.flights = [(end, count) for end, count in self.flights if end > now]
        self.minutes[now // 60] += branches
        self.flights.append((now + lasts, branches))
        assert self.minutes[now // 60] <= self.limits.per_minute
        assert live + sum(count for _, count in self.flights) <= self.limits.at_once


@pytest.mark.parametrize(("runs", "lanes", "waves"), [(5, 4, 4), (2, 28, 2)])
def test_a_sweep_of_runs_is_never_refused_and_takes_twice_the_least_at_most(join, runs, lanes, waves):
    platform, lasts = Platform(STOCK), 3.0
    left = {f"run-{k}": waves * lanes for k in range(runs)}
    events = [(6000.0 + k, run) for k, run in enumerate(left)]
    for began, run in events:
        join(run).begin(0, 0.0, 1, began)
        platform.minutes[began // 60] += 1
    now = 0.0
    while events:
        now, run = heapq.heappop(events)
        if not left[run]:
            join(run).leave(now)
            del left[run]
            continue
        granted, pause = join(run).take(left[run] % lanes or lanes, 60.0, now)
        if granted:
            platform.fork(now, granted, lasts, len(left))
            left[run] -= granted
        heapq.heappush(events, (now + (lasts + 0.1 if granted else pause), run))
    least = 60 * ((runs * (1 + lanes * waves) - 1) // STOCK.per_minute) + waves * lasts
    assert now - 6000 <= 2 * least
