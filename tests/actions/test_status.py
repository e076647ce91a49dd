"""Status: what a run is doing, in the words of its store; who may write into it; and who drives it no more."""

import json
import time

import pytest

from common.errors import LONGEST, DlError, ParameterError, RunError
from common.reports import progress
from common.rounds import lease, ledger, warm_up
from common.rounds.ledger import Slice, Wave
from common.storage import beat, keys
from common.storage.objects import Objects
from common.storage.run import Run

KILL = "The action did not produce a valid response and exited unexpectedly."


@pytest.fixture
def planned(action, given):
    """Give a function that invokes the planner for this test's run; returns the run and what the planner said."""

    def plan(**more):
        said = action("planner")({**given, **more})
        return Run(Objects(given["s3"]), said["run"]), said

    return plan


def wave(number, *slices, issued=None, lasts=30.0):
    issued = time.time() if issued is None else issued
    return Wave(number, "me", issued, issued + lasts, slices, 0.1)


def test_a_run_from_its_plan_to_its_failure(action, given):
    status, asked = action("status"), {"s3": given["s3"], "run": given["run"]}
    with pytest.raises(RunError, match=f"^run: got {given['run']}, expected an existing run$"):
        status(asked)
    token = action("planner")(given)["token"]
    before = status(asked)
    assert before == {
        "run": given["run"],
        "phase": "splitting",
        "advice": None,
        "wave": None,
        "round": 0,
        "rounds": 4,
        "lanes": 3,
        "lanes_done": [],
        "attempts": [],
        "failed_attempts": [],
        "metrics": [],
        "failure": None,
        "failures": [],
        "result": None,
    }
    action("splitter")({"s3": given["s3"], "run": given["run"]})
    assert status(asked)["phase"] == "training"
    failure = {"error": "lane 0\n failed"}
    assert status({**asked, "token": token, "failure": failure})["failure"] == "{'error': 'lane 0\\n failed'}"
    status({**asked, "token": token, "failure": "the\n  second"})
    after = status(asked)
    assert (after["phase"], after["failure"]) == ("failed", "the second")


def test_a_resumed_run_keeps_why_it_failed(action, given, planned):
    run, said = planned()
    asked = {"s3": given["s3"], "run": run.name}
    action("status")({**asked, "cancel": True})
    action("status")({**asked, "token": said["token"], "failure": "run x was cancelled"})
    assert action("status")(asked)["phase"] == "failed"
    planned()
    after = action("status")(asked)
    assert (after["phase"], after["failure"]) == ("splitting", "run x was cancelled")
    [row] = after["failures"]
    assert row == {"failure": "run x was cancelled", "time": pytest.approx(time.time(), abs=60)}


@pytest.mark.parametrize("what", [{"failure": "anything"}, {"cold": True}])
@pytest.mark.parametrize("token", [None, "", "guessed", 7])
def test_nobody_but_the_pipeline_writes_into_a_run(action, given, planned, what, token):
    run, said = planned()
    asked = {"s3": given["s3"], "run": run.name}
    before = run.sizes("")
    with pytest.raises(DlError, match="^ParameterError: token: got another one than the run's"):
        action("status")({**asked, **what, "token": token})
    assert run.sizes("") == before
    action("status")({**asked, **what, "token": said["token"]})
    assert len(run.sizes("")) == len(before) + 1


def test_the_token_is_told_to_nobody(action, given, planned):
    run, said = planned()
    assert len(said["token"]) == 32 and said["token"] != run.name
    told = [action("status")({"s3": given["s3"]}), action("status")({"s3": given["s3"], "run": run.name})]
    assert said["token"] not in str(told)


def test_a_failure_as_long_as_a_result_is_cut(action, given, planned):
    run, said = planned()
    told = action("status")({"s3": given["s3"], "run": run.name, "token": said["token"], "failure": "x" * 1_000_000})
    assert told["failure"] == "x" * (LONGEST - 3) + "..."
    assert progress.failures(run)[0]["failure"] == told["failure"]


def test_an_attempts_reason_is_there_in_its_own_wave_and_in_later_ones(action, given, planned):
    run, _ = planned()
    first, again = Slice(0, 0, 0), Slice(0, 1, 0, attempt=2, reason=KILL)
    ledger.create(run, wave(0, first, Slice(0, 1, 0)))
    ledger.create(run, wave(1, again))
    expected = [{"round": 0, "lane": 1, "step": 0, "attempt": 1, "reason": KILL}]
    assert action("status")({"s3": given["s3"], "run": run.name})["failed_attempts"] == expected
    ledger.create(run, wave(2, Slice(0, 2, 0)))
    assert action("status")({"s3": given["s3"], "run": run.name})["failed_attempts"] == expected


SILENCE = progress.SILENCE_SECONDS


@pytest.mark.parametrize("left", [False, True])
@pytest.mark.parametrize(
    ("waves", "key", "seconds"),
    [
        pytest.param(0, None, 0, id="planned"),
        pytest.param(0, keys.BEAT, 300, id="a long split"),
        pytest.param(1, None, lease.SILENCE_SECONDS, id="a wave"),
        pytest.param(1, keys.LEASE, 200, id="a long wave"),
        pytest.param(1, keys.BEAT, 200, id="a long average"),
    ],
)
def test_a_run_that_nobody_drives_any_more_says_so_and_how_to_go_on(planned, waves, key, seconds, left):
    run, _ = planned()
    began = progress.last_time(run, keys.DRIVERS)
    for number in range(waves):
        ledger.create(run, wave(number, Slice(0, 0, 0), issued=began, lasts=350.0))
    if key:
        heard = began + seconds - (lease.SILENCE_SECONDS if key == keys.LEASE else 0)
        run.objects.replace(run.at(key), json.dumps({"wave": 0, "time": heard}).encode())
    found = progress.standing(run, began + seconds + SILENCE + (5 if left else -5))
    phase = "abandoned" if left else "training" if waves else "splitting"
    command = f"wsk action invoke dl-pipeline -p run {run.name}"
    assert found["phase"] == phase
    assert (command in (found["advice"] or "")) == (phase == "abandoned")
    planned()  # somebody takes it up
    assert progress.standing(run, time.time())["phase"] != "abandoned"


def test_a_run_that_is_over_is_not_abandoned(planned):
    later = time.time() + 9000
    run, _ = planned()
    progress.record(run, "workers: got 0")
    assert progress.standing(run, later)["phase"] == "failed"
    run.create_json(keys.REPORT, {"run": run.name})
    assert progress.standing(run, later)["phase"] == "done"
    before = run.sizes("")
    planned()  # its result is asked for again
    assert run.sizes("") == before


def test_an_action_beats_while_it_works(planned, monkeypatch):
    run, _ = planned()
    monkeypatch.setattr(beat, "EVERY_SECONDS", 0.01)
    assert beat.heard(run) == 0
    before = int(time.time())  # the store's clock is told in whole seconds, or in milliseconds
    with beat.beating(run):
        heard = wait_for(lambda: beat.heard(run))
        wait_for(lambda: beat.heard(run) > heard)
    assert before <= heard <= time.time()


def wait_for(condition):
    end = time.monotonic() + 10
    while not (found := condition()):
        assert time.monotonic() < end, "it did not happen in time"
    return found


def test_marks_older_than_the_invocation_hold_no_more_and_younger_ones_do(planned):
    run, _ = planned(invocation={"id": "a", "time": 1000.0})
    progress.cancel(run)
    warm_up.give_up(run, "ModelError: x")
    planned(invocation={"id": "a", "time": 1000.0})  # the conductor died, and is started again
    assert run.find_json(keys.CANCEL) and run.find_json(keys.COLD)
    planned(invocation={"id": "b", "time": time.time() + 1})
    assert run.find_json(keys.CANCEL) is None and run.find_json(keys.COLD) is None


def test_the_newest_runs_come_first_and_garbage_is_left_out(action, given, put):
    older, newer = given["run"][:50] + "-1", given["run"][:50] + "-2"
    for name in (older, newer):
        action("planner")({**given, "run": name})
    for number, garbage in enumerate((b"nope", b"[]", b"{}")):  # in runs that say nothing
        put(f"runs/{given['run'][:50]}-garbage-{number}/plan.json", garbage)
    listed = [row["run"] for row in action("status")({"s3": given["s3"]})["runs"]]
    assert listed[:2] == [newer, older] and len(listed) <= progress.NEWEST


def test_names_that_would_leave_the_runs_folder_are_refused(action, given):
    with pytest.raises(ParameterError, match="run: got '../x'"):
        action("status")({"s3": given["s3"], "run": "../x"})


def test_cancelling_what_does_not_exist_is_refused(action, given):
    with pytest.raises(RunError, match="expected an existing run"):
        action("status")({"s3": given["s3"], "run": given["run"], "cancel": True})
    assert not Run(Objects(given["s3"]), given["run"]).sizes("")
