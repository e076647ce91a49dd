"""The simulated lanes give what plain Keras and NumPy give."""

import keras
import numpy as np
import pytest
from benchmarks import networks
from benchmarks.simulation import Settings, simulate

from common.data import shards
from common.plan.schedule import permutation


@pytest.fixture(scope="module")
def arrays():
    random = np.random.default_rng(5)
    labels = random.integers(0, 10, 300).astype(np.uint8)
    images = (random.integers(0, 150, (300, 28, 28)) + 10 * labels[:, None, None]).astype(np.uint8)
    return {"x_train": images[:200], "y_train": labels[:200], "x_test": images[200:], "y_test": labels[200:]}


def trained(path, x, y, seed, shard, epochs, batch, weights=None):
    """Train a fresh model on one shard by Keras alone, in the product's order."""
    model = keras.models.load_model(path)
    model.set_weights(weights or model.get_weights())
    for epoch in epochs:
        order = permutation(seed, shard, epoch, len(x))
        for first in range(0, len(x), batch):
            rows = order[first : first + batch]
            model.train_on_batch(x[rows].astype(np.float32), y[rows])
    return model


def test_one_average_of_two_lanes(arrays, tmp_path):
    networks.save("mnist", 3, tmp_path / "initial.keras")
    owner = shards.assign(shards.class_numbers([arrays["y_train"]]), len(arrays["y_train"]), 2, 3)
    lanes = [
        trained(
            tmp_path / "initial.keras", arrays["x_train"][owner == k], arrays["y_train"][owner == k], 3, k, range(2), 16
        )
        for k in range(2)
    ]
    for both in zip(*(lane.weights for lane in lanes), strict=True):
        both[0].assign(np.average([weight.numpy() for weight in both], axis=0))
    loss, accuracy = lanes[0].evaluate(arrays["x_test"].astype(np.float32), arrays["y_test"], verbose=0)
    found = simulate(Settings(2, 2, 1, 16, 1e-3, rotation=False), 3, "mnist", arrays, lambda done: None)
    assert found["points"] == [
        {"passes": 2, "accuracy": pytest.approx(accuracy), "loss": pytest.approx(loss, rel=1e-3), "tails": {}}
    ]


@pytest.mark.parametrize("momentum", [0.0, 0.3])
def test_an_optimizer_that_starts_anew_each_round(arrays, tmp_path, momentum):
    """What is called KubeML's schedule here, by Keras and NumPy alone; an outer momentum moves the weights alone."""
    networks.save("mnist", 4, tmp_path / "initial.keras")
    owner = shards.assign(shards.class_numbers([arrays["y_train"]]), len(arrays["y_train"]), 3, 4)
    model = keras.models.load_model(tmp_path / "initial.keras")
    start, velocity = model.get_weights(), [np.zeros_like(weight) for weight in model.get_weights()]
    for epoch in range(3):
        lanes = [
            trained(
                tmp_path / "initial.keras",
                arrays["x_train"][owner == k],
                arrays["y_train"][owner == k],
                seed=4,
                shard=k,
                epochs=[epoch],
                batch=16,
                weights=start,
            ).get_weights()
            for k in range(3)
        ]
        counts = [np.sum(owner == k) for k in range(3)]
        averages = [np.average(weights, axis=0, weights=counts) for weights in zip(*lanes, strict=True)]
        velocity = [momentum * v + (a - s) for v, a, s in zip(velocity, averages, start, strict=True)]
        start = [s + v for s, v in zip(start, velocity, strict=True)]
    model.set_weights(start)
    loss, accuracy = model.evaluate(arrays["x_test"].astype(np.float32), arrays["y_test"], verbose=0)
    settings = Settings(3, 3, 3, 16, 1e-3, momentum, optimizer_state="reset")
    found = simulate(settings, 4, "mnist", arrays, lambda done: None)["points"][-1]
    assert (found["accuracy"], found["loss"]) == (pytest.approx(accuracy), pytest.approx(loss, rel=1e-3))


def test_rates_fall_over_the_run():
    cosine = Settings(4, 2, 4, 32, 2e-3, decay="cosine")
    assert [cosine.rate_of(round_) for round_ in range(4)] == pytest.approx(
        [2e-3, 1.7071e-3, 1e-3, 0.2929e-3], rel=1e-3
    )


def final_loss(arrays, **lever):
    base = {"workers": 2, "epochs": 2, "rounds": 4, "batch": 16, "rate": 1e-3}
    return simulate(Settings(**base, **lever), 1, "mnist", arrays, lambda done: None)["points"][-1]["loss"]


def test_levers_change_the_result(arrays):
    levers = [{}, {"momentum": 0.5}, {"optimizer_state": "reset"}, {"decay": "linear"}]
    assert len({final_loss(arrays, **lever) for lever in levers}) == len(levers)


def test_who_trains_on_which_shard_changes_nothing(arrays):
    """Lanes that start a round from the same state may swap shards: the same states are averaged."""
    assert final_loss(arrays, rotation=False) == pytest.approx(final_loss(arrays), abs=2e-6)
