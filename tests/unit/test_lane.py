"""When a lane saves and stops, by a clock of the test; what it trains is test_model's matter."""

import keras
import numpy as np
import pytest

from common.errors import ModelError
from common.plan.schedule import Schedule
from common.storage.state import Progress
from common.training import lane as lanes
from common.training.lane import Lane, check_weights
from common.training.model import Learner

X = np.random.default_rng(1).normal(size=(700, 3)).astype(np.float32)
Y = np.arange(700) % 2
SCHEDULE = Schedule(1, 1, 1, batch=1, seed=0, counts=[700])


class Clock:
    """Passes `pace` seconds a trained step, and `cost` seconds a save."""

    def __init__(self, pace, cost=0.0):
        self.pace, self.cost, self.time, self.lane, self.saves = pace, cost, 1000.0, None, []

    def __call__(self):
        return self.time + self.lane.progress.step * self.pace

    def save(self):
        self.time += self.cost
        self.saves.append(self.lane.progress.step)


@pytest.fixture(scope="module")
def learner(tmp_path_factory):
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.SGD(0.1), loss, metrics=["accuracy"])
    model.save(tmp_path_factory.mktemp("lane") / "m.keras")
    return Learner(tmp_path_factory.getbasetemp() / "lane0" / "m.keras")


def run(learner, clock, stops, deadline, step=0):
    clock.lane = Lane(learner, SCHEDULE, Progress({}, 0, 0, step), None, clock)
    return clock.lane.run((X, Y), stops, clock() + deadline, clock.save)


@pytest.mark.parametrize(
    ("pace", "cost", "stops", "deadline", "saves"),
    [
        (0.01, 0, [10, 20, 40, 700], 300, [700]),  # quick: only the last
        (1.0, 0, [10, 20, 40, 80, 160, 320], 900, [40, 80, 160, 320]),  # every 30 s at most
        (1.0, 0, [10, 20, 40, 80, 160, 320], 180, [40, 80]),  # 160 would be reached at 176 s, slack included, of 175
        (1.0, 0, [10, 20, 40, 80], 30, [20]),  # 20 is reached at 22 s of 25, 40 would be at 44 s
        (1.0, 50, [10, 20, 40, 80, 160], 140, [40]),  # the save leaves too little time
        (1.0, 0, [100, 200], 50, []),  # given up at the limit, unsaved
    ],
)
def test_saves(learner, pace, cost, stops, deadline, saves):
    clock = Clock(pace, cost)
    expected = saves[-1] if saves else None
    assert (run(learner, clock, stops, deadline), clock.saves) == (expected, saves)


def test_a_hopeless_stretch_ends_before_the_deadline(learner):
    clock = Clock(1.0)
    began = clock.time
    assert run(learner, clock, [500], 300) is None
    assert began + 298 < clock() <= began + 298 + lanes.PIECE


def test_progress_and_last_lines(learner, capsys):
    clock = Clock(1.0)
    assert run(learner, clock, [30, 70, 700], 10_000) == 700
    progress = clock.lane.progress
    assert (progress.step, progress.examples, progress.seconds) == (700, 700, pytest.approx(700))
    assert {name: count for name, (_, count) in progress.sums.items()} == {"loss": 700, "accuracy": 700}
    printed = capsys.readouterr().out.splitlines()
    assert [line.split(":")[0] for line in printed] == [
        "round 0, lane 0, step 30 of 700",
        "round 0, lane 0, step 70 of 700",
        "round 0, lane 0, step 700 of 700",
    ]
    assert progress.last_lines.splitlines()[-1] == printed[-1] + ", 700.0 s"


def test_a_number_that_is_none_names_its_place(learner):
    clock = Clock(0.01)
    clock.lane = Lane(learner, SCHEDULE, Progress({}, 0, 0, 0), None, clock)
    with pytest.raises(ModelError) as error:
        clock.lane.run((np.full_like(X, np.nan), Y), [700], clock() + 100, clock.save)
    start = "round 0, lane 0, steps 0..64: loss became nan, expected a finite number; try a lower learning_rate"
    assert str(error.value) == start


@pytest.mark.parametrize("value", [np.nan, np.inf, -1e30])
def test_weights_that_cannot_be_trained_on_are_not_saved(value):
    rules = {"seed.0000.s": "keep", "trainable.0000.a": "mean", "trainable.0001.b": "mean"}
    fine = {"seed.0000.s": np.array([1]), "trainable.0000.a": np.ones(2)}
    place = "round 2, lane 1, step 9: trainable.0001.b"
    with pytest.raises(
        ModelError, match=rf"^{place} became NaN or left -4.61e\+18..4.61e\+18; try a lower learning_rate$"
    ):
        check_weights({**fine, "trainable.0001.b": np.array([1, value], np.float32)}, Progress(rules, 2, 1, 9))
