"""The conductors' order: what they call with what, what they repeat after which pauses, and what ends them."""

import json
import re
import subprocess
import time
from pathlib import Path

import pytest

from common.errors import FINAL

ROOT = Path(__file__).resolve().parents[2]
COMPOSITIONS = ROOT / "compositions"
HARNESS = Path(__file__).with_name("conduct.js")
DIED = {"error": "The action did not produce a valid response and exited unexpectedly."}
AWAY = {"error": "StoreError: s3://b/k: the object store does not answer: EndpointConnectionError"}
WRONG = {"error": "ModelError: model: got labels of shape (3,), expected (4,)"}
PLANNED = {"run": "r", "driver": "d", "token": "t", "value": []}
SPLIT = {"pending": False, "value": []}
REPORT = {"run": "r", "accuracy": 0.5}


@pytest.fixture(scope="module")
def compiled(tmp_path_factory):
    """Give the conductors' code by name, as scripts/package compiles it."""
    folder = tmp_path_factory.mktemp("compiled")
    program = COMPOSITIONS / "node_modules" / "openwhisk-composer" / "bin" / "compose.js"
    for path in COMPOSITIONS.glob("*.js"):
        code = subprocess.run(["node", program, path, "--js"], capture_output=True, check=True).stdout
        (folder / path.name).write_bytes(code + b"\nexports.main = main\n")
    return folder


@pytest.fixture
def conduct(compiled):
    """Give a function that runs a composition on components that answer as told."""

    def run(name, params, **answers):
        given = json.dumps({"params": params, "answers": answers})
        command = ["node", HARNESS, compiled / f"{name}.js"]
        environment = {"PATH": "/usr/local/bin:/usr/bin:/bin", "NODE_PATH": str(COMPOSITIONS / "node_modules")}
        said = subprocess.run(command, input=given, env=environment, capture_output=True, text=True, check=False)
        assert said.returncode == 0, said.stderr
        return json.loads(said.stdout)

    return run


def named(found, name):
    return [given for called, given in found["calls"] if called == name]


# dl-pipeline


def test_the_pipeline_hands_on_what_was_given_but_neither_a_store_nor_the_callers_key(conduct):
    given = {"dataset": "d.npz", "error": "x", "invocation": 1}
    own = {"s3": {"endpoint": "http://elsewhere"}, "reads": "", "__ow_headers": {"authorization": "Basic a"}}
    found = conduct("dl-pipeline", given | own | {"__ow_user": "u"}, run=[{"result": {"run": "r", "accuracy": 1}}])
    [(_, handed)] = found["calls"]
    assert handed.pop("invocation") == {"id": "f" * 32, "time": pytest.approx(time.time(), abs=60)}
    assert handed == {"given": given, "uploaded": False}
    assert found["result"] == {"run": "r", "accuracy": 1}


def test_an_upload_stays_one(conduct):
    found = conduct("dl-pipeline", {"config": "c", "run": "r", "uploaded": True}, run=[{"result": {}}])
    [handed] = named(found, "run")
    assert handed["uploaded"] is True and handed["given"] == {"config": "c", "run": "r"}


def test_a_conductor_that_died_or_spent_its_budget_is_started_again_with_the_same_invocation(conduct):
    found = conduct("dl-pipeline", {}, run=[DIED, {"error": "run-steps has spent its budget"}, {"result": REPORT}])
    first, *others = named(found, "run")
    assert found["result"] == REPORT and others == [first] * 2
    assert found["pauses"] == [2, 6]


def test_a_failure_is_recorded_and_ends_the_pipeline_in_one_sentence(conduct):
    found = conduct("dl-pipeline", {}, run=[{"run": "r", "token": "t", "failed": WRONG["error"]}], status=[{}])
    said = "model: got labels of shape (3,), expected (4,)"
    assert found["result"] == {"error": said}
    assert named(found, "status") == [{"run": "r", "token": "t", "failure": said}]
    assert found["pauses"] == []


@pytest.mark.parametrize(("run", "again"), [(None, "the same parameters"), ("r", "run r")])
def test_a_failure_that_may_pass_says_what_to_do(conduct, run, again):
    found = conduct("dl-pipeline", {}, run=[{"run": run, "token": "t", "failed": DIED["error"]}], status=[{}])
    said = f"{DIED['error'].rstrip('.')}; invoke dl-pipeline again with {again} to go on"
    assert found["result"] == {"error": said}
    assert [row["failure"] for row in named(found, "status")] == ([said] if run else [])


def test_a_pipeline_whose_steps_die_again_and_again_says_so(conduct):
    found = conduct("dl-pipeline", {}, run=[DIED])
    assert found["result"]["error"].startswith("run failed 4 times, the last time: The action did not produce")
    assert found["pauses"] == [2, 6, 18]


def test_a_failure_is_recorded_when_the_store_is_back(conduct):
    failed = {"run": "r", "token": "t", "failed": WRONG["error"]}
    found = conduct("dl-pipeline", {}, run=[failed], status=[AWAY, AWAY, AWAY, AWAY, AWAY, {}])
    assert len(named(found, "status")) == 6 and found["pauses"] == [2, 6, 18, 45, 45]
    assert found["result"] == {"error": "model: got labels of shape (3,), expected (4,)"}


def test_the_cause_is_told_where_the_store_never_comes_back(conduct):
    failed = {"run": "r", "token": "t", "failed": WRONG["error"]}
    found = conduct("dl-pipeline", {}, run=[failed], status=[AWAY])
    assert found["result"] == {"error": "model: got labels of shape (3,), expected (4,)"}


# every step that is repeated


GIVEN = {"run": "r", "driver": "d", "wave": None, "items": [], "lost": None}
ANSWERS = {
    "planner": PLANNED,
    "splitter": SPLIT,
    "train": {"pending": False},
    "evaluator": REPORT,
    "reducer": {"pending": False, "wave": None, "value": []},
}
CASES = {
    "mended": ([DIED, AWAY], [2, 6], None),
    "final": ([WRONG], [], re.escape(WRONG["error"])),
    "final at last": ([AWAY, WRONG], [2], re.escape(WRONG["error"])),
    "away for good": (
        [AWAY],
        [2, 6, 18],
        "STEP failed 4 times, the last time: s3://b/k: the object store does not answer: .*",
    ),
    "as long as a result": ([{"error": "x" * 900_000}], [2, 6, 18], "STEP failed 4 times, the last time: x{1000,2000}"),
    "no text": ([{"error": {"code": 1}}], [2, 6, 18], r'STEP failed 4 times, the last time: \{"code":1\}'),
}


@pytest.mark.parametrize(
    ("name", "step", "case"),
    [
        *(("train-loop", "reducer", case) for case in CASES),
        *(("run-steps", step, case) for step in ANSWERS if step != "reducer" for case in ("mended", "final")),
    ],
)
def test_a_step_is_repeated_where_that_may_mend_it(conduct, name, step, case):
    errors, pauses, said = CASES[case]
    answers = {**{other: [answer] for other, answer in ANSWERS.items()}}
    answers[step] = errors if said else [*errors, ANSWERS[step]]
    found = conduct(name, GIVEN, **answers)
    assert found["pauses"] == pauses
    if said is None:
        assert "failed" not in found["result"]
    else:
        assert re.fullmatch(said.replace("STEP", step), found["result"]["failed"])
    first, *repeats = named(found, step)
    assert repeats == [first] * len(pauses)


def test_what_cannot_be_mended_is_the_same_to_compositions_and_actions():
    classes = re.match(r"\((.*?)\): ", FINAL.pattern)[1].split("|")
    for path in (COMPOSITIONS / "parts" / "patient.js", COMPOSITIONS / "dl-pipeline.js"):
        named_here = re.findall(r"\^\(*([\w|]+\|[\w|]+)\)Error: ", path.read_text())
        assert [f"{name}Error" for name in named_here[0].split("|")] == classes


# run-steps


def test_the_steps_of_a_run_follow_each_other(conduct):
    train = [{"pending": True, "wave": 3, "items": [{"step": 1}], "lost": None}, {"pending": False}]
    found = conduct(
        "run-steps",
        {"given": {"dataset": "d"}, "uploaded": False, "invocation": {"id": "i", "time": 1.0}},
        planner=[PLANNED],
        splitter=[{"pending": True, "value": []}, SPLIT],
        train=train,
        evaluator=[REPORT],
    )
    assert found["calls"] == [
        ["planner", {"given": {"dataset": "d"}, "uploaded": False, "invocation": {"id": "i", "time": 1.0}}],
        ["splitter", {"run": "r", "driver": "d"}],
        ["splitter", {"run": "r", "driver": "d"}],
        ["train", {"run": "r", "driver": "d", "wave": None}],
        ["train", {"run": "r", "driver": "d", "wave": 3, "items": [{"step": 1}], "lost": None}],
        ["evaluator", {"run": "r"}],
    ]
    assert found["result"] == {"result": REPORT}


def test_waves_of_splitters_come_before_the_training_and_are_told_to_the_splitter(conduct):
    slices = [{"kind": "split", "slices": [0]}, {"kind": "split", "slices": [1]}]
    answers = {**{name: [answer] for name, answer in ANSWERS.items()}}
    answers["splitter"] = [{"pending": True, "value": slices}, {"pending": True, "value": slices}, SPLIT]
    items = [{"slices": 1}, {"failed": "x"}]
    found = conduct("run-steps", GIVEN, **answers, wave=[{"value": items}, DIED])
    assert [given["value"] for given in named(found, "wave")] == [slices] * 2
    turn = {"run": "r", "driver": "d"}
    assert named(found, "splitter") == [turn, {**turn, "items": items}, {**turn, "lost": DIED["error"]}]
    assert found["result"] == {"result": REPORT}


@pytest.mark.parametrize(
    ("items", "failure"),
    [
        ([{"trace_seconds": 1.0}, {"trace_seconds": 2.0}], None),
        ([{"trace_seconds": 1.0}, {"late": True}], "late"),
        ([{"failed": DIED["error"]}, {"failed": WRONG["error"]}], WRONG["error"]),
        ([{"error": DIED["error"]}, {"late": True}], DIED["error"]),
    ],
)
def test_the_warm_up_goes_on_beside_the_split_and_tells_why_a_trainer_stays_cold(conduct, items, failure):
    slices = [{"lane": 0}, {"lane": 1}]
    planned = {**PLANNED, "value": slices}
    answers = {**{name: [answer] for name, answer in ANSWERS.items()}, "planner": [planned], "status": [{}]}
    found = conduct("run-steps", GIVEN, **answers, wave=[{"value": items}])
    assert found["result"] == {"result": REPORT}
    [started] = named(found, "wave")
    assert started["value"] == slices
    told = {"run": "r", "token": "t", "cold": True, "failure": failure}
    assert named(found, "status") == ([told] if failure else [])


def test_what_ends_the_training_ends_the_run(conduct):
    failed = {"failed": "RunError: run r was cancelled"}
    found = conduct("run-steps", {}, planner=[PLANNED], splitter=[SPLIT], train=[failed])
    assert found["result"] == {"run": "r", "token": "t", "failed": "RunError: run r was cancelled"}


# train-loop


def test_a_turn_is_a_reducer_and_a_wave_and_tells_the_next_what_came_of_it(conduct):
    slices = [{"lane": 0}, {"lane": 1}]
    reducer = [
        {"pending": True, "wave": 0, "value": slices},
        {"pending": True, "wave": 1, "value": slices},
        {"pending": False, "wave": 1, "value": []},
    ]
    found = conduct("train-loop", GIVEN, reducer=reducer, wave=[{"value": [{"step": 1}, {"failed": "x"}]}, DIED])
    turn = {"run": "r", "driver": "d"}
    assert found["calls"][::2] == [
        ["reducer", {**turn, "wave": None, "items": [], "lost": None}],
        ["reducer", {**turn, "wave": 0, "items": [{"step": 1}, {"failed": "x"}]}],
        ["reducer", {**turn, "wave": 1, "lost": DIED["error"]}],
    ]
    assert found["result"] == {"run": "r", "pending": False, "wave": 1, "items": []}


def test_the_budget_lasts_for_twenty_turns_and_for_ten_repeats(conduct):
    turns = [{"pending": True, "wave": n, "value": [{}]} for n in range(20)]
    reducer = [answer for turn in turns for answer in ([AWAY, turn] if turn["wave"] < 10 else [turn])]
    found = conduct("train-loop", GIVEN, reducer=reducer, wave=[{"value": [{}]}])
    assert (len(found["calls"]), found["result"]["pending"], found["result"]["wave"]) == (50, True, 19)


def test_a_budget_that_is_spent_is_told_as_the_conductors_own_end(conduct):
    reducer = [AWAY, {"pending": True, "wave": 0, "value": [{}]}]
    found = conduct("train-loop", GIVEN, reducer=reducer * 20, wave=[{"value": [{}]}])
    assert found["result"] == {"error": "train-loop has spent its budget"}
