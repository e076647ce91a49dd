"""The schedules that the benchmark compares are those of schedule.md, whatever the defaults become."""

import pytest
from benchmarks.cases import CASES, ROWS

from common.plan import params

CASE = {case.name: case for case in CASES}
FILES = {"dataset": "d.npz", "model": "m.keras"}


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("ours, to accuracy", {"passes": 12, "rounds": 24, "local_batch_size": 16, "outer_momentum": 0.3}),
        ("ours, two lanes, no quota", {"passes": 9, "rounds": 18, "local_batch_size": 23, "outer_momentum": 0.3}),
        ("one shot, to accuracy", {"passes": 8, "rounds": 1, "local_batch_size": 32, "outer_momentum": 0.0}),
        (
            "K-averaging with reset, to accuracy",
            {"passes": 8, "rounds": 8, "local_batch_size": 32, "outer_momentum": 0.0, "optimizer_state": "reset"},
        ),
        ("ours, 1 epoch", {"passes": 1, "rounds": 2, "local_batch_size": 32, "outer_momentum": 0.0}),
    ],
)
def test_a_case_has_the_schedule_it_is_named_after(name, expected):
    case = CASE[name]
    full = params.complete(params.read({**FILES, "epochs": case.epochs, **case.parameters}))
    found = {"optimizer_state": "average", **expected}
    assert {**{key: full[key] for key in found if key != "passes"}, "passes": params.passes(full)} == found


def test_every_row_compares_cases_that_are_measured():
    assert {name for row in ROWS for name in (row.ours, row.other) if name} <= CASE.keys()
