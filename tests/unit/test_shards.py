"""The split's arithmetic: every example once, classes spread evenly, sizes as the planner foretold."""

import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.data import shards


def assign(labels, workers, seed, fraction):
    return shards.assign(shards.class_numbers([labels]), len(labels), workers, seed, held(labels, fraction))


def held(labels, *fractions):
    return [shards.held_count(len(labels), fraction) for fraction in fractions if fraction]


@given(
    st.lists(st.integers(0, 4), min_size=8, max_size=200),
    st.integers(1, 8),
    st.integers(0, 2**31 - 1),
    st.sampled_from([None, 0.1, 0.5]),
)
def test_every_example_belongs_somewhere_and_classes_are_even(labels, workers, seed, fraction):
    labels = np.array(labels, np.uint8)
    owner = assign(labels, workers, seed, fraction)
    out = sum(held(labels, fraction))
    assert np.count_nonzero(owner == -1) == out
    assert [int(np.count_nonzero(owner == k)) for k in range(workers)] == shards.shard_counts(
        len(labels) - out, workers
    )
    for label in np.unique(labels):
        per_shard = [np.count_nonzero((owner == k) & (labels == label)) for k in range(workers)]
        assert max(per_shard) - min(per_shard) <= 1


def reference(labels, workers, seed, *fractions):
    """Deal as the definition says, with everything in memory."""
    order = np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, 1]))).permutation(len(labels))
    order = order if labels.dtype.kind == "f" else order[np.argsort(labels[order], kind="stable")]
    shard = np.empty(len(labels), int)
    for number, out in enumerate(held(labels, *fractions), 1):
        chosen = np.diff(np.arange(len(order)) * out // len(order), append=out) > 0
        shard[order[chosen]], order = -number, order[~chosen]
    shard[order] = np.arange(len(order)) % workers
    return shard


@pytest.mark.parametrize("fractions", [(), (0.1,), (0.5,), (0.2, 0.3)])
@pytest.mark.parametrize("kind", ["classes", "numbers", "many", "negative"])
@pytest.mark.parametrize("block", [7, 100, 1 << 17])
def test_counting_block_by_block_is_sorting_by_class(monkeypatch, kind, fractions, block):
    monkeypatch.setattr(shards, "BLOCK", block)
    random = np.random.default_rng(5)
    labels = {
        "classes": random.integers(0, 7, 1001),
        "numbers": random.normal(size=1001),
        "many": random.integers(0, 900, 1001).astype(np.uint16),
        "negative": random.integers(-9, 9, 1001).astype(np.int64) * 2**40,
    }[kind]
    groups = shards.class_numbers(np.array_split(labels, 9))
    found = shards.assign(groups, 1001, 3, 11, held(labels, *fractions))
    np.testing.assert_array_equal(found, reference(labels, 3, 11, *fractions))


@pytest.mark.parametrize("kind", ["classes", "numbers"])
def test_who_has_a_set_already_is_dealt_no_more(kind):
    random = np.random.default_rng(6)
    labels = random.integers(0, 4, 501) if kind == "classes" else random.normal(size=501)
    fixed = -(random.integers(0, 5, 501) < 2).astype(np.int8) - (random.integers(0, 9, 501) < 1).astype(np.int8)
    groups = shards.class_numbers([labels])
    owner = shards.assign(groups, 501, 3, 11, fixed=fixed)
    np.testing.assert_array_equal(owner[fixed < 0], fixed[fixed < 0])
    free = owner[fixed == 0]
    assert sorted(np.bincount(free)) == sorted(shards.shard_counts(len(free), 3))
    if kind == "classes":
        for label in range(4):
            each = np.bincount(free[labels[fixed == 0] == label], minlength=3)
            assert max(each) - min(each) <= 1


def test_millions_of_labels_take_seven_bytes_each():
    labels = np.random.default_rng(0).integers(0, 9_999, 2_000_000)
    tracemalloc.start()
    groups = shards.class_numbers(np.array_split(labels, 40))
    shards.assign(groups, len(labels), 4, 0, [200_000])
    assert shards.class_sizes(groups).sum() == len(labels)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 7 * len(labels) + (8 << 20)


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
