"""Attempts and micro-batches: what the reducer does next for each way a slice can end."""

import re
from dataclasses import replace

import pytest
from tests.plans import plan_of

from common.errors import RunError
from common.rounds import ledger
from common.rounds.ledger import Slice, Wave

PLAN = plan_of(batch=32)
KILL = "The action did not produce a valid response and exited unexpectedly."
FORK = "Parallel combinator failed to invoke a composition at AST node root (see log for details): "
MEMORY = "The action exhausted its memory and was aborted."


def wave(*slices, seconds=100.0):
    return Wave(4, "me", 1000.0, 1000.0 + seconds, slices or (Slice(2, 0, 0), Slice(2, 1, 0)), 0.1)


@pytest.mark.parametrize(
    ("items", "lost", "expected"),
    [
        ([{"failed": KILL}, {"step": 9, "start": 0}], None, {0: KILL, 1: "its model state is not in the store"}),
        ([{"late": True, "step": 0, "start": 0}, {"error": "x"}], None, {0: None, 1: "x"}),
        ([{"step": 0, "start": 0}, "word"], None, {0: None, 1: "the trainer returned str"}),
        (
            [{"step": 1, "start": 0}],
            None,
            dict.fromkeys((0, 1), "the wave returned 1 of 2 items"),
        ),
        ([], FORK + "Too many requests in the last minute (count: 61, allowed: 60).", {0: None, 1: None}),
        ([], FORK + "Too many concurrent requests in flight (count: 30, allowed: 30).", {0: None, 1: None}),
        ([], FORK + "connect ECONNREFUSED", dict.fromkeys((0, 1), FORK + "connect ECONNREFUSED")),
        ([], None, {}),
        ([], KILL, dict.fromkeys((0, 1), f"the wave was lost: {KILL}")),
        ([{"used": True}, {"failed": MEMORY}], None, {0: None, 1: MEMORY}),
        ([], "Internal error: redis", {0: "Internal error: redis", 1: "Internal error: redis"}),
    ],
)
def test_why_each_slice_of_the_last_wave_failed(items, lost, expected):
    assert ledger.outcome(wave(), items, lost) == expected


def test_a_driver_that_has_started_no_wave_counts_none():
    assert ledger.outcome(None, [], None) == {}


def test_a_slice_that_saves_nothing_in_the_longest_wave_has_failed():
    items = [{"step": 0, "start": 0}, {"late": True, "step": 0, "start": 0}]
    found = ledger.outcome(wave(seconds=350), items, None)
    assert found == {0: "the slice ended before its first save step", 1: None}


@pytest.mark.parametrize(
    ("before", "reason", "attempt", "micro"),
    [
        (Slice(2, 0, 0), KILL, 2, None),
        (Slice(2, 0, 0, 2, None, KILL), "command exited", 3, 16),
        (Slice(2, 0, 0, 3, 16, KILL), KILL, 4, 8),
        (Slice(2, 0, 0, 2, None, "ValueError"), KILL, 3, None),
        (Slice(2, 0, 0), MEMORY, 2, None),
        (Slice(2, 0, 0, 2, None, MEMORY), MEMORY, 3, 16),
        (Slice(2, 0, 0, 2, None, MEMORY), "command exited", 3, 16),
        (Slice(2, 0, 0, 2, None, MEMORY), "MemoryError: Unable to allocate 3.00 GiB", 3, 16),
        (Slice(2, 0, 0, 2, None, f"the wave was lost: {KILL}"), KILL, 3, None),
        (Slice(2, 0, 0, 2, None, KILL), f"the wave was lost: {KILL}", 3, None),
        (Slice(2, 0, 0, 2, 1, KILL), MEMORY, 3, 1),
        (Slice(2, 0, 0), "ValueError: x", 2, None),
        (Slice(2, 0, 0), None, 1, None),
    ],
)
def test_the_next_attempt(before, reason, attempt, micro):
    found = ledger.retried(Slice(2, 0, 0), before, reason, PLAN)
    assert (found.attempt, found.micro, found.trainer) == (attempt, micro, None)


def test_what_lacks_memory_twice_goes_to_the_largest_trainer_before_it_is_halved():
    plan = replace(PLAN, trainer=replace(PLAN.trainer, largest="trainer-large"))
    tried = [Slice(2, 0, 0)]
    for reason in (MEMORY, MEMORY, KILL):
        tried.append(ledger.retried(Slice(2, 0, 0), tried[-1], reason, plan))
    assert [(one.attempt, one.trainer, one.micro) for one in tried] == [
        (1, None, None), (2, None, None), (3, "trainer-large", None), (4, "trainer-large", 16),
    ]  # fmt: skip
    again = ledger.retried(Slice(2, 0, 64), tried[-1], None, plan)
    assert (again.trainer, again.micro) == ("trainer-large", 16)


def test_progress_starts_a_new_count_and_keeps_the_micro_batch():
    before = Slice(2, 0, 0, 3, 16, KILL)
    assert ledger.retried(Slice(2, 0, 64), before, KILL, PLAN) == Slice(2, 0, 64, 1, 16)
    assert ledger.retried(Slice(3, 0, 0), before, None, PLAN) == Slice(3, 0, 0, 1, 16)


def test_the_fourth_failure_ends_the_run_with_its_cause():
    with pytest.raises(RunError, match=r"^lane 1 of round 2 at step 7 failed 4 times, the last time: boom$"):
        ledger.retried(Slice(2, 1, 7), Slice(2, 1, 7, 4), "boom", PLAN)


@pytest.mark.parametrize(
    "before", [None, Slice(2, 1, 7), Slice(2, 1, 0)], ids=["of no wave of mine", "the same", "saved something before"]
)
def test_a_failure_that_cannot_be_mended_ends_the_run_at_the_first_attempt(before):
    with pytest.raises(RunError, match=r"^model: got y \(3,\), expected \(4,\)$"):
        ledger.retried(Slice(2, 1, 7), before, "ModelError: model: got y (3,), expected (4,)", PLAN)


@pytest.mark.parametrize(
    ("reason", "sentence"),
    [
        (
            "The wave could not begin: Redis: WRONGPASS invalid pair.",
            "The wave could not begin: Redis: WRONGPASS invalid pair;",
        ),
        ("The wave could not begin: Redis: Ready check failed: NOAUTH Authentication required.", "The wave could not"),
        ("Parallel combinator failed to invoke a composition at AST node root[0]: NOPERM no", "Parallel combinator"),
        ("The wave could not begin: got no address of Redis, expected redis://", "The wave could not begin: got no"),
        ("The wave could not begin: Redis: connect ECONNREFUSED", None),
        ("Redis: Socket closed unexpectedly", None),
        ("ValueError: NOAUTH", None),
        (KILL, None),
        (None, None),
    ],
)
def test_a_redis_that_does_not_let_the_conductors_in_is_told_at_once(reason, sentence):
    if sentence is None:
        ledger.check_mendable(reason)
    else:
        with pytest.raises(RunError, match="^" + re.escape(sentence)):
            ledger.check_mendable(reason)
