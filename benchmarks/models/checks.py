"""What is checked of a model, each by an oracle of its own: the data's shapes, plain Keras, the arithmetic of averages.

A check gives how far what was found is from what was expected; more than its limit is a failure.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from benchmarks.models import oracle
from benchmarks.models.trial import BATCH, STEPS, Trial
from common.errors import DlError
from common.plan import keras_file
from common.plan.schedule import EVALUATION_BATCH
from common.rounds import averaging
from common.storage import state
from common.training import loading
from common.training.model import rows_of

LANES = 3
CLOSE = 1e-5  # of weights, slots and sums
SMALL = 0.1  # a value of an evaluation below this is compared as if it were this
FAULTS = (DlError, tf.errors.OpError, NotImplementedError, *loading.UNLOADABLE)


@dataclass(frozen=True)
class Found:
    """What a check found: the largest difference, and what it is of; or the sentence of an error."""

    check: str
    difference: float
    limit: float
    said: str = ""

    @property
    def ok(self) -> bool:
        """Return whether it is within the limit; what is no number is not."""
        return self.difference <= self.limit


@dataclass(frozen=True)
class Distance:
    """The largest of some differences, and of what it is."""

    value: float = 0.0
    of: str = ""

    def to(self, name: str, got: Any, expected: Any, least: float = 1.0) -> "Distance":
        """Return this or the difference of two arrays, whichever is larger, relative to what is above `least`."""
        one, other = np.asarray(got, np.float64), np.asarray(expected, np.float64)
        if one.shape != other.shape:
            return Distance(float("inf"), f"{name}: got shape {one.shape}, expected {other.shape}")
        apart = np.abs(one - other) / np.maximum(np.abs(other), least)
        value = float(np.nan_to_num(apart, nan=np.inf).max(initial=0.0, where=~(np.isnan(one) & np.isnan(other))))
        return Distance(value, name) if value > self.value else self


def reader(trial: Trial) -> Distance:
    """Let the planner read the file and look at the data's shapes; names are held to those of plain Keras."""
    file, model = keras_file.read(trial.path, "initial.keras"), oracle.plain(trial.path)
    x, y = trial.data[:2]
    labels = [one.shape[1:] for one in keras.tree.flatten([*y.values()] if isinstance(y, dict) else y)]
    file = file.for_labels(labels)
    file.check_inputs([one.shape[1:] for one in ([*x.values()] if isinstance(x, dict) else [x])])
    file.check_labels(labels)
    names = ([one.name for one in file.inputs], len(file.outputs))
    expected = ([one.name for one in model.inputs], len(model.outputs))
    if names != expected or (isinstance(y, dict) and [one.name for one in file.outputs] != [*y]):
        return Distance(float("inf"), f"inputs and outputs {names}, expected {expected}")
    return Distance()


def lane(trial: Trial) -> Distance:
    """Compare a lane with Model.fit on the same batches: weights, slots, and the means of the sums."""
    model = oracle.plain(trial.path)
    trained, sums = trial.lane
    if all(np.array_equal(tensor, trial.start[name]) for name, tensor in trained.items() if averaging.trainable(name)):
        return Distance(float("inf"), "no weight moved")
    oracle.give_seeds(model, trial.seeds())
    x, y, *weights = oracle.as_keras(model, rows_of(trial.data, trial.order))
    given: dict[str, Any] = {"sample_weight": weights[0]} if weights else {}
    history = model.fit(x, y, batch_size=BATCH, shuffle=False, verbose=0, **given).history
    trial.learner.import_state(trained)
    trial.learner.finish()
    found = Distance()
    for got, expected in zip(oracle.variables(trial.learner.model), oracle.variables(model), strict=True):
        found = found.to(expected.path, got, expected)
    for name, (total, count) in sums.items():
        found = found.to(f"the sums of {name}", total / count, history[name][0])
    return found


def average(trial: Trial) -> Distance:
    """Compare the average of equal lanes with one of them, and moving averages with what they must become."""
    lanes = [trial.opened(f"lane-{k}", trial.train()[0]) for k in range(LANES)]
    moving = averaging.Moving.of(trial.opened("start", trial.start), lanes, [1.0, 2.0, 3.0])
    pieces = averaging.merged(lanes, [1.0, 2.0, 3.0], {}, moving=moving)
    (trial.folder / "average").write_bytes(b"".join(pieces))
    merged = state.load(trial.folder / "average")[0]
    decays, found = oracle.moved(oracle.plain(trial.path), STEPS), Distance()
    for name, tensor in trial.lane[0].items():
        expected: Any = tensor
        if decay := decays.get(".".join(name.split(".", 2)[:2])):
            expected = oracle.forward(trial.start[name], tensor, *decay, LANES)
        found = found.to(name, merged[name], expected)
    trial.learner.import_state(merged)
    return found


def file(trial: Trial) -> Distance:
    """Compare an evaluation with plain Keras' of the file that is left, made of the average as a run makes it."""
    trial.learner.finish()
    trial.learner.project()
    trial.learner.save(trial.folder / "final.keras")
    got = trial.learner.evaluate(trial.data[:2], trial.row.name)
    model = oracle.plain(trial.folder / "final.keras")
    x, y = oracle.as_keras(model, trial.data[:2])
    expected = model.evaluate(x, y, batch_size=EVALUATION_BATCH, verbose=0, return_dict=True)
    if got.keys() != expected.keys():
        return Distance(float("inf"), f"metrics {sorted(got)}, expected {sorted(expected)}")
    found = Distance()
    for name, value in got.items():
        found = found.to(name, np.nan if value is None else value, expected[name], SMALL)
    return found


CHECKS = {"reader": reader, "lane": lane, "average": average, "file": file}


def perform(trial: Trial, names: Sequence[str] = tuple(CHECKS)) -> Iterator[Found]:
    """Yield what each check found; what one raises is its finding. The last one takes the average of the one before."""
    for name in names:
        limit = {"reader": 0.0, "file": trial.row.close}.get(name, CLOSE)
        try:
            found = CHECKS[name](trial)
            yield Found(name, found.value, limit, found.of)
        except FAULTS as error:
            yield Found(name, float("inf"), limit, f"{type(error).__name__}: {error}".partition("\n")[0])
