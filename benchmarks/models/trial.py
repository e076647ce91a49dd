"""A model on trial: its file, its data, and lanes that are trained of it; used by the checks."""

from functools import cached_property
from pathlib import Path
from typing import Any

import keras
import numpy as np

from benchmarks.models import oracle
from benchmarks.models.row import EXAMPLES, Row
from common.rounds import averaging
from common.storage import state
from common.storage.state import Progress, Tensors
from common.training.model import Array, Data, Learner, Sums

BATCH = 16
BOUNDS = np.append(np.arange(0, EXAMPLES, BATCH), EXAMPLES)
STEPS = len(BOUNDS) - 1
PLACE = (7, 0, 0)  # seed, round and lane, of which the seeds of dropout and the like are made


class Trial:
    """A row's model in a file, its data, and the learner of that file."""

    def __init__(self, row: Row, folder: Path) -> None:
        self.row, self.folder, self.path = row, folder, folder / "initial.keras"
        keras.utils.clear_session()
        keras.utils.set_random_seed(1)
        model = row.build()
        self.parameters, self.optimizer = model.count_params(), oracle.optimizer_of(model)
        model.save(self.path)
        self.data: Data = row.data()
        self.order = np.random.default_rng(11).permutation(EXAMPLES)

    @cached_property
    def learner(self) -> Learner:
        """Return the learner of the model's file."""
        return Learner(self.path)

    @cached_property
    def start(self) -> Tensors:
        """Return the state that every lane starts from."""
        return self.learner.export_state()

    @cached_property
    def lane(self) -> tuple[Tensors, Sums]:
        """Return the first lane's state and sums."""
        return self.train()

    def train(self) -> tuple[Tensors, Sums]:
        """Train one lane from the start; return its state and sums."""
        self.learner.import_state(self.start)
        self.learner.set_seeds(*PLACE)
        sums = self.learner.train(self.data, self.order, BOUNDS, 0, STEPS)
        return self.learner.export_state(), sums

    def seeds(self) -> list[Array]:
        """Return the seeds that the lane begins with, generator by generator."""
        self.learner.import_state(self.start)
        self.learner.set_seeds(*PLACE)
        return [value for name, value in self.learner.export_state().items() if name.startswith("seed.")]

    def opened(self, name: str, tensors: Tensors) -> averaging.Lane:
        """Return a state as the reducer reads it: out of a file, by ranges."""
        learner, path = self.learner, self.folder / name
        told: dict[str, Any] = {"decays": learner.decays, "updates": learner.updates(), "examples": EXAMPLES}
        state.save(path, tensors, Progress(learner.rules, 0, 0, STEPS, **told).pack())
        body = path.read_bytes()
        return averaging.Lane(lambda begin, end: body[begin:end], averaging.AHEAD)
