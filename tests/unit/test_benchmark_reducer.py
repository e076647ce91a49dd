"""The reducer's benchmark: its table's rows, and that it refuses results that do not repeat."""

import pytest
from benchmarks import reducer

LINES = [
    {
        "size": 10, "repeat": repeat, "workers": 4, "momentum": 0.3, "seconds": seconds,
        "input": 120_000_000, "server": 2e9, "memory": memory << 20, "digest": "a",
    }
    for repeat, seconds, memory in ((1, 0.5, 80), (2, 0.4, 90), (3, 0.9, 70))
]  # fmt: skip


def test_a_row_has_the_median_and_the_greatest_memory():
    expected = "| 10 | 4 | 0.3 | 120 | 0.50 (0.40 .. 0.90) | 240 | 2000 | 90 | 3 |"
    assert reducer.markdown(LINES).splitlines()[-1] == expected


def test_other_bytes_of_the_same_case_are_refused():
    reducer.refuse_another({**LINES[0], "repeat": 4}, LINES)
    reducer.refuse_another({**LINES[0], "workers": 2, "digest": "b"}, LINES)
    with pytest.raises(reducer.ReducerError, match="got other bytes for \\(10, 4, 0.3\\)"):
        reducer.refuse_another({**LINES[0], "repeat": 4, "digest": "b"}, LINES)
