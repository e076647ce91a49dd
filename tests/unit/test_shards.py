"""The split's arithmetic: every example once, classes spread evenly, sizes as the planner foretold."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from common import shards


def assign(labels, workers, seed, fraction):
    return shards.assign(shards.class_numbers([labels]), len(labels), workers, seed, fraction)


@given(
    st.lists(st.integers(0, 4), min_size=8, max_size=200),
    st.integers(1, 8),
    st.integers(0, 2**31 - 1),
    st.sampled_from([None, 0.1, 0.5]),
)
def test_every_example_belongs_somewhere_and_classes_are_even(labels, workers, seed, fraction):
    labels = np.array(labels, np.uint8)
    owner = assign(labels, workers, seed, fraction)
    held = 0 if fraction is None else shards.validation_count(len(labels), fraction)
    assert np.count_nonzero(owner == -1) == held
    assert [int(np.count_nonzero(owner == k)) for k in range(workers)] == shards.shard_counts(
        len(labels) - held, workers
    )
    for label in np.unique(labels):
        per_shard = [np.count_nonzero((owner == k) & (labels == label)) for k in range(workers)]
        assert max(per_shard) - min(per_shard) <= 1


def test_a_file_sorted_by_label_is_not_split_by_label():
    owner = assign(np.repeat(np.arange(10), 100), 4, 0, None)
    assert [len(np.unique(np.flatnonzero(owner == k) // 100)) for k in range(4)] == [10] * 4


def test_the_seed_decides():
    labels = np.arange(1000) % 10
    first, again, other = (assign(labels, 4, seed, 0.1) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert np.count_nonzero(first != other) > 500


def test_validation_holds_each_class_by_its_share():
    labels = np.array([0] * 900 + [1] * 100)
    owner = assign(labels, 2, 0, 0.2)
    held = labels[owner == -1]
    assert len(held) == 200 and 18 <= np.count_nonzero(held == 1) <= 22


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        (np.array([5, 5, 9]), [0, 0, 1]),
        (np.array([[5], [5], [9]]), [0, 0, 1]),
        (np.array([[0.0, 1.0], [1.0, 0.0]]), [1, 0]),
        (np.array([0.5, 1.5]), None),
        (np.array([[3, 1], [2, 0]]), None),
        (np.array([[0, 1], [2, 0]]), None),
        (np.array([[0.0, 0.5], [1.0, 0.0]]), None),
        (np.arange(20_000), None),
    ],
)
def test_what_counts_as_a_class(labels, expected):
    found = shards.class_numbers(np.array_split(labels, 2))
    assert (found is None) == (expected is None)
    if expected is not None:
        np.testing.assert_array_equal(found, expected)
