"""Rows of the benchmark's table: pairs only, medians of ratios or means of differences, against their goals."""

from benchmarks import tables
from benchmarks.cases import Case, Row

KNOWN = {
    "ours": {
        1: {"seconds": 10.0, "accuracy": 0.62},
        2: {"seconds": 30.0, "accuracy": 0.60},
        3: {"seconds": 12.0, "accuracy": None},
        4: {"seconds": 99.0, "accuracy": 0.99},
    },
    "single": {
        1: {"seconds": 40.0, "accuracy": 0.61},
        2: {"seconds": 60.0, "accuracy": 0.62},
        3: {"seconds": 60.0, "accuracy": 0.63},
    },
}


def test_a_ratio_is_the_median_over_the_pairs_that_both_have():
    row = Row("time", "ours", "single", "seconds", 0.25)
    assert tables.judged(row, KNOWN) == {
        "title": "time", "ours": "ours", "other": "single", "goal": 0.25, "pairs": 3,
        "value": 0.25, "spread": [0.2, 0.5], "met": True,
    }  # fmt: skip


def test_a_difference_is_of_the_means_and_must_reach_its_goal():
    row = Row("accuracy", "ours", "single", "accuracy", 0.0, difference=True, least=True)
    assert tables.judged(row, KNOWN) == {
        "title": "accuracy", "ours": "ours", "other": "single", "goal": 0.0, "pairs": 2,
        "value": -0.005, "spread": [-0.02, 0.01], "met": False,
    }  # fmt: skip


def test_a_quantity_of_our_own_needs_no_other():
    row = Row("overhead", "ours", None, "seconds", 0.3)
    assert (tables.judged(row, KNOWN)["value"], tables.judged(row, KNOWN)["met"]) == (21.0, False)


def test_what_was_not_measured_is_said():
    row = tables.judged(Row("memory", "ours", "single", "memory", 0.33), KNOWN)
    assert tables.line(row) == "| memory | not measured | | 0.33 | 0 | |"


def test_a_row_for_comparison_has_no_goal_to_meet():
    row = tables.judged(Row("one shot", "ours", "single", "accuracy", None, difference=True), KNOWN)
    assert row["met"] is None
    assert tables.line(row) == "| one shot | -0.005 | -0.02 .. 0.01 |  | 2 |  |"


def test_a_case_says_in_which_environment_it_was_measured():
    figures = {"seconds": 2.0, "accuracy": 0.5, "memory": 3 << 20, "gb_seconds": 4.0, "activations": 5, "failures": 0}
    known = {"ours": {1: figures, 2: {**figures, **tables.environment()}}}
    line = tables.case_line(Case("ours", "pipeline", "mnist", 1), known)
    assert line == "| ours | 2 | 0.5 | 3 | 4 | 5 | 0 | 1, processor's default |"
