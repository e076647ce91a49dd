"""The warm-up: the planner's empty wave, what a trainer does with it, and how the reducer waits for it."""

import hashlib
import json
import re
import urllib.request
from dataclasses import replace

import numpy as np
import pytest

from common.data.arrays import Array, Pair
from common.errors import ModelError, RunError
from common.plan import plan as plans
from common.plan.plan import Model, Output
from common.rounds import drive, ledger, pace, warm_up
from common.storage import keys
from common.storage.objects import Objects
from common.storage.run import Run
from common.training.model import Learner
from common.training.warm import Which
from tests.plans import plan_of

from .conftest import alone, keras_file, npz
from .test_trainer import model_file

STOCK = pace.Limits(60, 30)
KILL = "The action did not produce a valid response and exited unexpectedly."


def put(url, body):
    request = urllib.request.Request(url, body, {"If-None-Match": "*"}, method="PUT")
    with urllib.request.urlopen(request) as answer:
        return answer.status


def place(value):
    """Split off the URLs."""
    return {name: item for name, item in value.items() if name not in ("get", "put")}


def test_a_new_run_has_a_warm_up_and_a_resumed_one_has_none(action, given, s3):
    found = action("planner")({**given, "learning_rate": 0.5})
    document = Run(Objects(s3.params), given["run"]).find_json("warm-up.json")
    assert document == {"issued": document["issued"], "deadline": document["issued"] + 30}
    batch = {"x": {"shape": [9, 8, 8], "dtype": "|u1"}, "y": {"shape": [9], "dtype": "|u1"}}
    assert [place(value) for value in found["value"]] == [
        {
            "kind": "warm-up",
            "run": given["run"],
            "lane": lane,
            "deadline": document["deadline"],
            "trainer": "trainer",
            "micro": None,
            "learning_rate": 0.5,
            "optimizer": None,
            "model_sha256": hashlib.sha256(keras_file()).hexdigest(),
            "inputs": None,
            "outputs": None,
            "batch": batch,
        }
        for lane in range(3)
    ]
    assert action("planner")({"s3": given["s3"], "run": given["run"]})["value"] == []


def test_a_run_that_is_done_has_none_though_it_had_no_room_for_one_before(action, given, s3):
    planned = action("planner")({**given, "workers": 26})  # which had none
    assert planned["value"] == []
    run = Run(Objects(s3.params), given["run"])
    run.create_json(keys.REPORT, {})
    alone(s3)
    held = {**plans.read(run).document(), "workers": 3}
    run.objects.replace(run.at(keys.PLAN), json.dumps(held).encode())
    assert action("planner")({"s3": given["s3"], "run": given["run"]})["value"] == []
    assert warm_up.find(run) is None


@pytest.mark.parametrize(("workers", "expected"), [(25, 25), (26, 0)])
def test_there_is_no_warm_up_where_the_minute_is_needed_for_the_first_wave(action, given, workers, expected):
    assert len(action("planner")({**given, "workers": workers, "batch_size": 1})["value"]) == expected


def test_wide_floats_are_announced_as_the_shards_hold_them(action, given, put):
    arrays = {"x_train": np.zeros((30, 8, 8), ">f8"), "y_train": np.zeros(30, np.int64)}
    arrays |= {"x_test": arrays["x_train"], "y_test": arrays["y_train"]}
    value = action("planner")({**given, "dataset": put("data/wide.npz", npz(**arrays))})["value"][0]
    assert value["batch"]["x"]["dtype"] == "<f4"


@pytest.fixture
def planned(action, given):
    """Give a function that plans and splits a run and begins its warm-up at an hour of its own."""

    def make(workers, now):
        action("planner")({**given, "workers": workers, "batch_size": 1})
        action("splitter")({"s3": given["s3"], "run": given["run"]})
        run = Run(Objects(given["s3"]), given["run"])
        run.objects.delete(run.at("warm-up.json"))
        return run, warm_up.begin(run, plans.read(run), STOCK, now)

    return make


class Clock:
    """A clock that sleeping moves; after some sleeps the trainers are warm."""

    def __init__(self, now, values, sleeps):
        self.now, self.values, self.sleeps = now, values, sleeps

    def sleep(self, seconds):
        self.now += seconds
        self.sleeps -= 1
        if self.sleeps == 0:
            for value in self.values:
                put(value["put"], b"{}")


def first_wave(run, clock):
    """Take the run's first turn."""
    turn = drive.Turn("me", None, [], None, clock.now + 300, STOCK, lambda: clock.now, clock.sleep)
    return drive.take(run, plans.read(run), turn)[0]


def test_the_first_wave_waits_until_all_trainers_are_warm(planned):
    run, values = planned(workers=3, now=6000.0)
    wave = first_wave(run, Clock(6002.0, values, sleeps=7))
    assert wave.issued == pytest.approx(6002.7)


def test_the_first_wave_waits_no_longer_than_the_warm_up_may_last(planned):
    run, _ = planned(workers=3, now=6000.0)
    wave = first_wave(run, Clock(6002.0, [], sleeps=7))
    assert wave.issued == pytest.approx(6030.0, abs=0.11)


def test_the_first_wave_does_not_wait_for_a_warm_up_that_failed(planned, action, given):
    run, _ = planned(workers=3, now=6000.0)
    cold = {"s3": given["s3"], "run": run.name, "token": plans.read(run).token, "cold": True, "failure": KILL}
    assert action("status")(cold) == {"run": run.name, "cold": True}
    assert first_wave(run, Clock(6002.0, [], sleeps=7)).issued == 6002.0
    assert warm_up.measurements(run) == ([], [])


@pytest.mark.parametrize(
    ("said", "doubt"),
    [
        (b'{"seconds": NaN, "memory": 1}', r"seconds: got nan, expected 0\.\.350"),
        (b'{"seconds": 1.0, "memory": -1}', r"memory: got -1, expected 0\.\.1\.09951e\+12"),
        (b'{"seconds": 1.0, "memory": 1, "step_seconds": Infinity}', r"step_seconds: got inf, expected 0\.\.30"),
        (b"[]", r"got \[\], expected an object"),
        (b"nope", r"warm-up/lane-01.json: got no JSON \(JSONDecodeError\)"),
        (b" " * (1 << 20) + b"{}", r"warm-up/lane-01.json: got 1048578 bytes, expected at most 1048576"),
    ],
    ids=["seconds", "memory", "step", "list", "text", "size"],
)
def test_what_a_warm_trainer_says_and_cannot_be_is_named_and_left_out(planned, said, doubt):
    run, values = planned(workers=2, now=6000.0)
    fine = {"seconds": 1.5, "memory": 1 << 28}
    put(values[0]["put"], json.dumps(fine).encode())
    put(values[1]["put"], said)
    believed, doubts = warm_up.measurements(run)
    assert believed == [fine]
    assert re.fullmatch(f"warm-up/lane-01.json is left out of the seconds and the memory: {doubt}", *doubts)


def test_a_run_ends_before_its_first_wave_where_the_warm_up_found_what_cannot_be_mended(planned, action, given):
    run, _ = planned(workers=3, now=6000.0)
    failure = "ModelError: model: got labels of shape (3,), expected (4,)"
    cold = {"s3": given["s3"], "run": run.name, "token": plans.read(run).token, "cold": True, "failure": failure}
    action("status")(cold)
    with pytest.raises(RunError, match=r"^model: got labels of shape \(3,\), expected \(4,\)$"):
        first_wave(run, Clock(6002.0, [], sleeps=7))
    assert ledger.newest(run) is None


@pytest.mark.parametrize(
    ("told", "allowed"),
    [
        ([0.01, 0.5, 0.1], 2 * 0.5 * 33 + 30),  # a third of 200 examples, half a pass, a batch each
        ([30.0, 0.1, 0.1], 350),
        ([0.01, 0.5, None], 120),
    ],
)
def test_the_first_wave_may_last_as_long_as_the_warm_trainers_steps_say(action, given, told, allowed):
    planned = action("planner")({**given, "batch_size": 1})
    action("splitter")({"s3": given["s3"], "run": planned["run"]})
    for value, seconds in zip(planned["value"], told, strict=True):
        measured = {"step_seconds": seconds} if seconds else {}
        put(value["put"], json.dumps({"seconds": 1.0, "memory": 1 << 28, **measured}).encode())
    run = Run(Objects(given["s3"]), planned["run"])
    wave = first_wave(run, Clock(run.find_json("warm-up.json")["issued"], [], sleeps=7))
    assert wave.deadline - wave.issued == allowed
    assert warm_up.step_seconds(run, replace(plans.read(run), weighting="accuracy")) is None  # the lanes validate, too


@pytest.mark.parametrize(("resumed", "first"), [(0, 25), (1, 24)])
def test_start_and_warm_up_count_against_the_minute(planned, resumed, first):
    run, values = planned(workers=25, now=6000.0)
    for _ in range(resumed):
        assert warm_up.begin(run, plans.read(run), STOCK, 6001.0) == []
    assert len(first_wave(run, Clock(6002.0, values, sleeps=1)).slices) == first


class TestTrainer:
    """What a trainer does with a slice of the warm-up."""

    @pytest.fixture
    def slices(self, s3, action, tmp_path):
        """Give the trainer's main and a slice of a network with moments and seeds."""
        objects = Objects(s3.params)
        path = model_file(tmp_path)
        run = Run(objects, "warm-" + hashlib.sha256(path.read_bytes()).hexdigest()[:12])
        objects.create(run.at("initial.keras"), path.read_bytes())
        objects.delete(run.at("warm-up/lane-00.json"))
        return action("trainer"), path, run

    def value(self, run, path, **changes):
        train = Pair((Array("x", (90, 6, 6), "|u1"),), (Array("y", (90,), "|u1"),))
        plan = plan_of(
            train=train, model=Model(hashlib.sha256(path.read_bytes()).hexdigest(), (Output("", 3, "mse"),)), batch=16
        )
        far = warm_up.WarmUp(0.0, 1e11)
        return {**warm_up.value(run, plan, far, 0), **changes}

    def test_it_loads_and_traces_and_leaves_the_model_as_it_was(self, slices):
        main, path, run = slices
        answer = main(self.value(run, path))
        assert (answer["run"], answer["lane"]) == (run.name, 0)
        assert answer["seconds"] > answer["trace_seconds"] > answer["step_seconds"] > 0
        assert run.find_json("warm-up/lane-00.json") == answer
        assert warm_up.measurements(run) == ([answer], [])
        assert answer["memory"] > 100 << 20
        learners = main.__globals__["LEARNERS"]
        assert learners.knows(Which(hashlib.sha256(path.read_bytes()).hexdigest()))
        # seed generators start anew with each load, and with each round
        kept, fresh = (
            {name: array.tolist() for name, array in learner.export_state().items() if not name.startswith("seed.")}
            for learner in (learners._learner, Learner(path))
        )
        assert kept == fresh

    def test_weights_are_taken_whatever_the_order_of_the_arrays(self, slices):
        main, path, run = slices
        weight = {"weight": {"shape": [16], "dtype": "<f4"}}
        batch = weight | dict(reversed(self.value(run, path)["batch"].items()))
        assert list(batch) == ["weight", "y", "x"]
        assert main(self.value(run, path, batch=batch))["step_seconds"] > 0

    def test_a_second_one_finds_it_done(self, slices):
        main, path, run = slices
        main(self.value(run, path))
        first, told = main.__globals__["LEARNERS"]._learner, run.find_json("warm-up/lane-00.json")
        run.objects.delete(run.at("warm-up/lane-00.json"))
        main(self.value(run, path))
        assert main.__globals__["LEARNERS"]._learner is first
        again = run.find_json("warm-up/lane-00.json")
        assert (again["trace_seconds"], again["step_seconds"]) == (0, told["step_seconds"])

    def test_a_model_that_was_trained_since_is_not_measured_again(self, slices):
        """A warm trainer takes the file's own state again for the next run of the model."""
        main, path, run = slices
        main(self.value(run, path))
        told, value = run.find_json("warm-up/lane-00.json"), self.value(run, path)
        learners = main.__globals__["LEARNERS"]
        for _ in range(2):
            learners.take(value["get"]["model"], Which.of(value), initial=True)
        run.objects.delete(run.at("warm-up/lane-00.json"))
        main(value)
        assert run.find_json("warm-up/lane-00.json")["step_seconds"] == told["step_seconds"]

    def test_one_that_was_queued_too_long_does_nothing(self, slices):
        main, path, run = slices
        assert main(self.value(run, path, deadline=4.0)) == {"late": True, "run": run.name, "lane": 0}
        assert run.find_json("warm-up/lane-00.json") is None

    def test_another_model_than_planned_is_refused(self, slices):
        main, path, run = slices
        with pytest.raises(ModelError, match="got a file of sha256"):
            main(self.value(run, path, model_sha256="0" * 64))
