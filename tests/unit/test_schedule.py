"""The schedule against a brute-force reading of its definition."""

from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from common.errors import ParameterError
from common.plan.schedule import Schedule, evaluation_shares, sample, share, stops, validation_rows

COUNTS = [103, 97, 110]


def pass_order(seed: int, shard: int, epoch: int, count: int) -> list[Any]:
    """The definition of a pass's order, spelled out again."""
    sequence = np.random.SeedSequence([seed, shard, epoch])
    return list(np.random.Generator(np.random.PCG64(sequence)).permutation(count))


def batches_of(schedule: Schedule, round_: int, lane: int) -> list[list[int]]:
    indices, bounds = schedule.order(round_, lane)
    assert (indices.dtype, bounds.dtype) == (np.dtype("int64"), np.dtype("int64"))
    assert (bounds[0], bounds[-1]) == (0, len(indices))
    assert len(bounds) == schedule.steps(round_, lane) + 1
    assert schedule.examples(round_, lane) == len(indices)
    return [indices[a:b].tolist() for a, b in pairwise(bounds)]


@pytest.mark.parametrize(("epochs", "rounds"), [(2, 2), (2, 4), (3, 15), (6, 2), (4, 1), (1, 1)])
def test_every_pass_is_the_definition(epochs: int, rounds: int) -> None:
    schedule = Schedule(3, epochs, rounds, batch=16, seed=5, counts=COUNTS)
    for lane in range(3):
        got = [batch for r in range(rounds) for batch in batches_of(schedule, r, lane)]
        expected = []
        for epoch in range(epochs):
            turn = epoch if rounds >= epochs else epoch // (epochs // rounds)
            shard = (lane + turn) % 3
            order = pass_order(5, shard, epoch, COUNTS[shard])
            expected += [order[i : i + 16] for i in range(0, len(order), 16)]
        assert got == expected


@pytest.mark.parametrize(("epochs", "rounds"), [(3, 3), (3, 6), (3, 21), (6, 3)])
def test_every_example_exactly_once_a_pass_and_lanes_disjoint(epochs: int, rounds: int) -> None:
    schedule = Schedule(3, epochs, rounds, batch=16, seed=1, counts=COUNTS)
    seen: dict[int, list[tuple[int, int]]] = {epoch: [] for epoch in range(epochs)}
    for r in range(rounds):
        for lane in range(3):
            indices, bounds = schedule.order(r, lane)
            at = 0
            for epoch, first, last in schedule.passes(r, lane):
                until = at + last - first
                seen[epoch] += [(schedule.shard(r, lane), int(i)) for i in indices[bounds[at] : bounds[until]]]
                at = until
    everything = sorted((shard, i) for shard, count in enumerate(COUNTS) for i in range(count))
    assert {epoch: sorted(pairs) for epoch, pairs in seen.items()} == dict.fromkeys(range(epochs), everything)


def test_partial_batch_is_the_last_of_its_pass() -> None:
    schedule = Schedule(1, 2, 4, batch=16, seed=0, counts=[103])
    sizes = [[len(batch) for batch in batches_of(schedule, r, 0)] for r in range(4)]
    assert sizes == [[16, 16, 16], [16, 16, 16, 7], [16, 16, 16], [16, 16, 16, 7]]


def test_whole_passes_in_one_round_start_at_their_own_bounds() -> None:
    schedule = Schedule(2, 2, 1, batch=4, seed=3, counts=[6, 9])
    assert schedule.passes(0, 1) == [(0, 0, 3), (1, 0, 3)]
    indices, bounds = schedule.order(0, 1)
    assert bounds.tolist() == [0, 4, 8, 9, 13, 17, 18]
    assert indices.tolist() == pass_order(3, 1, 0, 9) + pass_order(3, 1, 1, 9)


def test_seed_shard_and_epoch_change_the_order() -> None:
    orders = {
        tuple(Schedule(2, 2, 2, 8, seed, [50, 50]).order(r, lane)[0])
        for seed in (0, 1) for r in (0, 1) for lane in (0, 1)
    }  # fmt: skip
    assert len(orders) == 8


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ((1, 2, 3, 8, 0, [50]), "rounds: got 3, expected a multiple or a divisor of epochs (2)"),
        ((2, 1, 1, 8, 0, [50]), "counts: got 1 shards, expected one a worker (2)"),
        (
            (1, 2, 16, 8, 0, [50]),
            "rounds: got 16 (8 a pass), expected at most one a batch: 14 for 2 epochs of 7 batches of 8",
        ),
    ],
)
def test_impossible_schedules_are_refused(arguments: tuple[int, int, int, int, int, list[int]], sentence: str) -> None:
    with pytest.raises(ParameterError) as error:
        Schedule(*arguments)
    assert str(error.value) == sentence


def test_lane_and_round_out_of_range() -> None:
    schedule = Schedule(2, 1, 1, 8, 0, [9, 9])
    with pytest.raises(ParameterError, match=r"round: got 1, expected 0\.\.0"):
        schedule.steps(1, 0)
    with pytest.raises(ParameterError, match=r"lane: got 2, expected 0\.\.1"):
        schedule.order(0, 2)


@pytest.mark.parametrize(
    ("start", "total", "expected"),
    [
        (0, 1, [1]),
        (0, 10, [1, 2, 4, 8, 10]),
        (3, 10, [4, 5, 7, 10]),
        (9, 10, [10]),
        (0, 600, [3, 6, 12, 24, 48, 96, 192, 384, 600]),
        (100, 257, [102, 104, 108, 116, 132, 164, 228, 257]),
    ],
)
def test_stops_double_and_end_with_the_round(start: int, total: int, expected: list[int]) -> None:
    assert stops(start, total) == expected


def test_stops_of_a_finished_round() -> None:
    with pytest.raises(ParameterError, match=r"start: got 10, expected 0\.\.9"):
        stops(10, 10)


@pytest.mark.parametrize(
    ("workers", "examples", "expected"), [(4, 1, 1), (4, 2047, 1), (4, 2048, 2), (4, 10_000, 4), (28, 10_000, 9)]
)
def test_a_share_has_a_thousand_examples_at_least(workers: int, examples: int, expected: int) -> None:
    assert evaluation_shares(workers, examples) == expected


@pytest.mark.parametrize(("examples", "count"), [(1, 1), (2100, 2), (10_000, 4), (4097, 3), (28 * 1024, 28)])
def test_shares_are_the_set_in_order_in_whole_batches(examples: int, count: int) -> None:
    shares = [share(examples, count, lane) for lane in range(count)]
    assert [row for first, last in shares for row in range(first, last)] == list(range(examples))
    assert all(first % 32 == 0 for first, _ in shares)
    sizes = [last - first for first, last in shares]
    assert max(sizes) - min(sizes) <= 2 * 32


@pytest.mark.parametrize(
    ("examples", "workers", "trained", "expected"),
    [
        (10_000, 4, 7500, (5888, 1)),  # a lane evaluates a fifth of what it trains on, in whole batches
        (1000, 4, 7500, (1000, 1)),
        (1000, 4, 160, (128, 1)),
        (1000, 4, 159, (128, 2)),  # a batch a lane, in every second round
        (1000, 4, 20, (128, 8)),
        (1000, 4, 1, (128, 32)),
        (20, 4, 1, (20, 32)),
        (1, 28, 10**6, (1, 1)),
    ],
)
def test_how_often_and_on_how_much_averages_are_evaluated(examples, workers, trained, expected):
    assert validation_rows(examples, workers, trained) == expected


def test_a_sample_is_the_same_each_time_and_without_repeats():
    found = sample(1000, 128, 7)
    assert len({*found.tolist()}) == 128 and (np.diff(found) > 0).all() and found[-1] < 1000
    np.testing.assert_array_equal(found, sample(1000, 128, 7))
    assert found.tolist() != sample(1000, 128, 8).tolist()
    np.testing.assert_array_equal(sample(50, 50, 7), np.arange(50))
