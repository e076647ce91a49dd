"""The harness of faults: each kind as often as the others, and a table that hides nothing."""

import random
from collections import Counter

from benchmarks.faults import tables
from benchmarks.faults.__main__ import order
from benchmarks.faults.kinds import KINDS


def line(kind, **changes):
    return {"kind": kind, "hit": True, "same": True, "by_hand": 0, "kills_platform": False, "extra": 1.0, **changes}


def test_kinds_come_equally_often_in_an_order_of_the_seed():
    runs = 4 * len(KINDS) + 4
    given = [kind.name for kind in order(KINDS, runs, random.Random(1))]
    assert len(given) == runs
    assert set(Counter(given).values()) == {4, 5}
    assert given == [kind.name for kind in order(KINDS, runs, random.Random(1))]
    assert given != [kind.name for kind in order(KINDS, runs, random.Random(2))]


def test_the_table_counts_by_kind_and_leaves_out_what_did_not_hit():
    lines = [
        line("a", extra=2.0),
        line("a", extra=9.0, same=False),
        line("b", extra=50.0, by_hand=1, kills_platform=True),
        line("b", hit=False, extra=0.0),
    ]
    page = tables.markdown(lines, {"seed": 1})
    assert "| a | 2 | 1 | 0 | 5.5 | 9.0 |" in page
    assert "| b | 1 | 1 | 1 | 50.0 | 50.0 |" in page
    assert "| all but the platform's own kill | 2 | 1 | 0 | 5.5 | 9.0 |" in page
    assert "1 faults came too late" in page
