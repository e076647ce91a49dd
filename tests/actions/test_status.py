"""Status: what a run is doing, in the words of its store."""

import pytest

from common import progress
from common.errors import ParameterError, RunError
from common.run import Run
from common.store import Objects


def test_a_run_from_its_plan_to_its_failure(action, given):
    status, asked = action("status"), {"s3": given["s3"], "run": given["run"]}
    with pytest.raises(RunError, match=f"^run: got {given['run']}, expected an existing run$"):
        status(asked)
    action("planner")(given)
    before = status(asked)
    assert before == {
        "run": given["run"],
        "phase": "splitting",
        "wave": None,
        "round": 0,
        "rounds": 4,
        "lanes": 3,
        "lanes_done": [],
        "attempts": [],
        "metrics": [],
        "failure": None,
        "result": None,
    }
    action("splitter")({"s3": given["s3"], "run": given["run"]})
    assert status(asked)["phase"] == "training"
    failure = {"error": "lane 0\n failed"}
    assert status({**asked, "failure": failure})["failure"] == "{'error': 'lane 0\\n failed'}"
    status({**asked, "failure": "the\n  second"})
    after = status(asked)
    assert (after["phase"], after["failure"]) == ("failed", "the second")


def test_a_failure_before_there_is_a_run_is_passed_on(action, given):
    found = action("status")({"s3": given["s3"], "run": None, "failure": "workers: got 0"})
    assert found == {"failure": "workers: got 0"}


def test_the_newest_runs_come_first(action, given):
    older, newer = given["run"][:50] + "-1", given["run"][:50] + "-2"
    for name in (older, newer):
        action("planner")({**given, "run": name})
    listed = [row["run"] for row in action("status")({"s3": given["s3"]})["runs"]]
    assert listed[:2] == [newer, older] and len(listed) <= progress.NEWEST


def test_names_that_would_leave_the_runs_folder_are_refused(action, given):
    with pytest.raises(ParameterError, match="run: got '../x'"):
        action("status")({"s3": given["s3"], "run": "../x"})


def test_cancelling_what_does_not_exist_is_refused(action, given):
    with pytest.raises(RunError, match="expected an existing run"):
        action("status")({"s3": given["s3"], "run": given["run"], "cancel": True})
    assert not Run(Objects(given["s3"]), given["run"]).sizes("")
