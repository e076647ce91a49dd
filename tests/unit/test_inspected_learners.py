"""What honest trainers leave is taken: states of models whose rules, decays and sums differ most."""

import keras
import numpy as np
import pytest
from keras import layers, optimizers

from common.plan.schedule import Schedule
from common.rounds.inspection import Due, Inspected
from common.storage import state
from common.storage.state import Progress
from common.training.lane import Lane, check_weights
from common.training.model import Learner

X, Y = np.random.default_rng(0).normal(size=(100, 6)).astype(np.float32), np.arange(100) % 3
SCHEDULE = Schedule(workers=1, epochs=1, rounds=1, batch=16, seed=0, counts=[100])


@pytest.mark.parametrize(
    ("body", "optimizer", "micro"),
    [
        (lambda: [layers.BatchNormalization(), layers.Dropout(0.2)], optimizers.Adam, 4),
        (lambda: [layers.BatchNormalization(trainable=False)], optimizers.Nadam, None),
        (lambda: [layers.BatchNormalization(renorm=True)], lambda: optimizers.Adam(use_ema=True), None),
        (
            lambda: [layers.SpectralNormalization(layers.Dense(4))],
            lambda: optimizers.LossScaleOptimizer(optimizers.SGD()),
            None,
        ),
    ],
    ids=["micro-batches", "frozen", "moving weights", "loss scale"],
)
def test_a_learners_states_are_taken_at_every_step(tmp_path, body, optimizer, micro):
    keras.utils.set_random_seed(1)
    model = keras.Sequential([keras.Input((6,)), layers.Dense(5), *body(), layers.Dense(3)])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(optimizer(), loss, metrics=["accuracy", keras.metrics.SparseTopKCategoricalAccuracy(2)])
    model.save(tmp_path / "m.keras")
    learner = Learner(tmp_path / "m.keras")
    progress = Progress(learner.rules, 0, 0, 0, decays=learner.decays)
    lane = Lane(learner, SCHEDULE, progress, micro)
    for step in (0, 3, 7):
        if step:
            lane._train((X, Y), step)
        check_weights(learner.export_state(), progress)
        state.save(tmp_path / "state", learner.export_state(), progress.pack())
        whole = (tmp_path / "state").read_bytes()
        due = Due(0, 0, step, SCHEDULE.examples(0, 0, step), validated=False, start_rows=0)
        taken = Inspected(lambda begin, end, held=whole: held[begin:end], 1 << 18, len(whole), due)
        taken.read_all()
        assert (taken.progress.examples, taken.progress.step) == (min(100, 16 * step), step)
