"""K lanes trained one after the other in one process, by the product's own parts: the pipeline's numbers without it.

Used by the search for a schedule, where accuracy counts and time does not. What the product has no parameter for
(lanes that stay on their shard, a rate that falls) is done to the schedule and to the states between rounds.
"""

import contextlib
import io
import math
import tempfile
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks import networks
from benchmarks.sources import Arrays
from common.data import shards
from common.plan.schedule import Schedule
from common.rounds import averaging, rounds
from common.storage import state
from common.storage.state import Progress, Tensors
from common.training.lane import Lane
from common.training.model import Learner

TAILS = (2, 4, 6)  # how many of the last averages are averaged once more, and judged beside the last one
FIRST_JUDGED = 8  # passes
FOREVER = 1e9  # seconds: no deadline cuts a simulated lane


@dataclass(frozen=True)
class Settings:
    """One experiment's schedule."""

    workers: int
    epochs: int
    rounds: int
    batch: int  # of a lane
    rate: float
    momentum: float = 0.0
    rotation: bool = True
    optimizer_state: str = "average"  # or reset, at each round's start
    decay: str = "none"  # or cosine, linear: over the run, a step a round

    def rate_of(self, round_: int) -> float:
        """Return the learning rate of a round."""
        done = round_ / self.rounds
        factors = {"none": 1.0, "linear": 1 - done, "cosine": (1 + math.cos(math.pi * done)) / 2}
        return self.rate * factors[self.decay]


class Fixed(Schedule):
    """A schedule whose lanes stay on their shard."""

    def shard(self, round_: int, lane: int) -> int:
        """Return the lane's own."""
        self._check(round_, lane)
        return lane


class Simulation:
    """One experiment under way: a learner that plays every lane, and the states as files in a folder."""

    def __init__(self, settings: Settings, seed: int, dataset: str, arrays: Arrays, folder: Path) -> None:
        self.settings, self.seed, self.arrays, self.folder = settings, seed, arrays, folder
        classes = shards.class_numbers([arrays["y_train"]])
        owner = shards.assign(classes, len(arrays["y_train"]), settings.workers, seed)
        self.data = [(arrays["x_train"][owner == k], arrays["y_train"][owner == k]) for k in range(settings.workers)]
        kind = Schedule if settings.rotation else Fixed
        counts = [len(y) for _, y in self.data]
        self.schedule = kind(settings.workers, settings.epochs, settings.rounds, settings.batch, seed, counts)
        networks.save(dataset, seed, folder / "initial.keras")
        self.learner = Learner(folder / "initial.keras", settings.rate)
        for name in ("initial", "start"):
            state.save(self._path(name), self.learner.export_state(), self._progress(0, 0).pack())
        self.ends: deque[Tensors] = deque(maxlen=max(TAILS))

    def run(self, report: Callable[[int], None]) -> list[dict[str, Any]]:
        """Train; return what the held-out set said after whole passes. `report` is told of each finished round."""
        points = []
        for round_ in range(self.settings.rounds):
            start = self._start(round_)
            for lane in range(self.settings.workers):
                self._train(start, round_, lane)
            self._close()
            self.ends.append(state.load(self._path("start"))[0])
            passes = (round_ + 1) * self.settings.epochs / self.settings.rounds
            if passes == int(passes) and (passes >= FIRST_JUDGED or round_ + 1 == self.settings.rounds):
                points.append({"passes": int(passes), **self._judged()})
            report(round_ + 1)
        return points

    def _start(self, round_: int) -> Tensors:
        tensors = state.load(self._path("start"))[0]
        rate = next(name for name in tensors if name.endswith("/learning_rate"))
        tensors[rate] = tensors[rate].dtype.type(self.settings.rate_of(round_)).reshape(())
        return tensors

    def _train(self, start: Tensors, round_: int, number: int) -> None:
        self.learner.import_state(start)
        self.learner.project()
        self.learner.set_seeds(self.seed, round_, number)
        lane = Lane(self.learner, self.schedule, self._progress(round_, number), None)
        x, y = self.data[self.schedule.shard(round_, number)]

        def save() -> None:
            state.save(self._path(f"lane-{number}"), self.learner.export_state(), lane.progress.pack())

        with contextlib.redirect_stdout(io.StringIO()):  # a lane's notes are for an activation's log
            lane.run((x, y), [lane.total], time.time() + FOREVER, save)

    def _close(self) -> None:
        """Average the lanes' files into the next start, as the reducer does."""
        lanes = [self._open(f"lane-{k}") for k in range(self.settings.workers)]
        weights = rounds.lane_weights("examples", lanes)
        outer = None
        if self.settings.momentum and self._path("before").exists():
            outer = averaging.Outer(self.settings.momentum, self._open("start"), self._open("before"))
        fresh = self._open("initial") if self.settings.optimizer_state == "reset" else None
        moving = averaging.Moving.of(self._open("start"), lanes, weights) if len(lanes) > 1 else None
        merged = b"".join(averaging.merged(lanes, weights, lanes[0].metadata, outer, fresh, moving))
        self._path("start").rename(self._path("before"))
        self._path("start").write_bytes(merged)

    def _progress(self, round_: int, number: int) -> Progress:
        return Progress(self.learner.rules, round_, number, 0, decays=self.learner.decays)

    def _open(self, name: str) -> averaging.Lane:
        held = self._path(name).read_bytes()
        return averaging.Lane(lambda begin, end: held[begin:end], len(held))

    def _path(self, name: str) -> Path:
        return self.folder / f"{name}.safetensors"

    def _judged(self) -> dict[str, Any]:
        tails = {n: self._judge(mean(list(self.ends)[-n:])) for n in TAILS if n <= len(self.ends)}
        return {**self._judge(self.ends[-1]), "tails": tails}

    def _judge(self, tensors: Tensors) -> dict[str, float]:
        self.learner.import_state(tensors)
        self.learner.project()
        scores = self.learner.evaluate((self.arrays["x_test"], self.arrays["y_test"]), "the simulation's end")
        return {name: round(scores[name], 6) for name in ("accuracy", "loss")}


def mean(ends: Sequence[Tensors]) -> Tensors:
    """Return the last state with its weights averaged over all."""
    averages = {
        name: averaging.mean([end[name] for end in ends], [1.0] * len(ends)).astype(value.dtype)
        for name, value in ends[-1].items()
        if averaging.trainable(name)
    }
    return {**ends[-1], **averages}


def simulate(settings: Settings, seed: int, dataset: str, arrays: Arrays, report: Callable[[int], None]) -> Any:
    """Carry out one experiment; return it with its result, as JSON holds it."""
    with tempfile.TemporaryDirectory() as folder:
        points = Simulation(settings, seed, dataset, arrays, Path(folder)).run(report)
    return {"settings": asdict(settings), "seed": seed, "points": points}
