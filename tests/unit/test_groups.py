"""Groups that stay on one side of a split."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.data.groups import Held
from common.data.shards import held_count
from common.errors import DatasetError

FRACTIONS = st.lists(st.floats(0.01, 0.45), min_size=1, max_size=2)


@given(st.lists(st.integers(0, 12), min_size=5, max_size=200), FRACTIONS, st.integers(0, 99))
def test_each_set_has_its_share_in_whole_groups(values, fractions, seed):
    sizes = Counter(values)
    if len(sizes) <= len(fractions):
        return
    held = Held("g", np.array_split(np.array(values), 3), fractions, seed)
    owner = held.owners(np.array(values))
    assert [int(np.count_nonzero(owner == -1 - k)) for k in range(len(fractions))] == held.counts
    assert all(len({int(owner[row]) for row, value in enumerate(values) if value == one}) == 1 for one in sizes)
    assert np.count_nonzero(owner == 0) and all(held.counts)
    for k, fraction in enumerate(fractions):
        mine = [sizes[value] for value in sizes if held.owner.get(value, 0) == -1 - k]
        assert len(mine) == 1 or held.counts[k] - max(mine) < held_count(len(values), fraction)


def test_the_seed_decides_and_the_order_of_rows_does_not():
    values = np.array([f"p{k % 20}" for k in range(100)], object)
    first, again, other = (
        Held("g", [rows], [0.2], seed).owner for rows, seed in ((values, 1), (values[::-1], 1), (values, 2))
    )
    assert first == again and first != other


def test_more_groups_than_memory_holds(monkeypatch):
    monkeypatch.setattr("common.data.groups.GROUPS", 9)
    with pytest.raises(DatasetError, match="group: column g has more than 9 groups, expected fewer"):
        Held("g", [np.arange(10)], [0.1], 0)
