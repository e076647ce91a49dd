"""What moves by a decay an update, brought forward by all lanes' updates; and what a layer promises, kept."""

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers

from common.plan.schedule import Schedule
from common.rounds import averaging
from common.rounds.averaging import Moving
from common.storage import state
from common.storage.state import Progress, Tensors
from common.training.lane import Lane
from common.training.model import Learner

RULES = {"weight.m": "moments-mean:weight.v", "weight.v": "moments-variance:weight.m", "optimizer.e": "mean"}
START = {
    "weight.m": np.zeros(3, np.float32),
    "weight.v": np.ones(3, np.float32),
    "optimizer.e": np.full(3, 2, np.float32),
}
DECAYS = {"weight.m": 0.99, "weight.v": 0.99, "optimizer.e": 0.9}
RANDOM = np.random.default_rng(5)


def opened(tensors: Tensors, path: Path, **progress: Any) -> averaging.Lane:
    rules = progress.pop("rules", RULES)
    state.save(path, tensors, Progress(rules, 0, 0, 1, **progress).pack())
    body = path.read_bytes()
    return averaging.Lane(lambda begin, end: body[begin:end], len(body))


def merge(folder: Path, lanes: list[tuple[Tensors, dict[str, int]]], weights: list[float], **given: Any) -> Tensors:
    """Return the average of lanes given as tensors and updates."""
    settings = {"decays": DECAYS, **given}
    files = [
        opened(tensors, folder / f"{k}", updates=updates, **settings) for k, (tensors, updates) in enumerate(lanes)
    ]
    moving = Moving.of(opened(START, folder / "start"), files, weights)
    (folder / "out").write_bytes(b"".join(averaging.merged(files, weights, {}, moving=moving)))
    return state.load(folder / "out")[0]


def moved(batches: np.ndarray[Any, Any], name: str) -> Any:
    """Return what a tensor becomes, update by update, as the layer does it: the oracle."""
    value = START[name].astype(np.float64)
    for batch in batches:
        value = DECAYS[name] * value + (1 - DECAYS[name]) * batch
    return value


def lane_of(seen: dict[str, Any]) -> tuple[Tensors, dict[str, int]]:
    tensors = {name: moved(batches, name).astype(np.float32) for name, batches in seen.items()}
    return tensors, {name: len(batches) for name, batches in seen.items()}


@pytest.mark.parametrize("workers", [2, 8, 28])
@pytest.mark.parametrize("updates", [1, 7, 200])
def test_equal_lanes_give_one_worker_with_all_their_updates(tmp_path: Path, workers: int, updates: int) -> None:
    constant = {"weight.m": 5.0, "weight.v": 3.0, "optimizer.e": -1.0}
    seen = {name: np.full((updates, 3), value) for name, value in constant.items()}
    got = merge(tmp_path, [lane_of(seen)] * workers, [1.0] * workers)
    for name, value in constant.items():
        kept = DECAYS[name] ** (workers * updates)
        np.testing.assert_allclose(got[name], START[name] * kept + (1 - kept) * value, rtol=1e-5)
        np.testing.assert_allclose(got[name], moved(np.full((workers * updates, 3), value), name), rtol=1e-5)


def test_unequal_lanes_are_weighed_and_their_variance_is_that_of_all(tmp_path: Path) -> None:
    levels, counts, weights = [1.0, 4.0, -2.0], [3, 11, 40], [30.0, 110.0, 400.0]
    spreads = [2.0, 0.5, 1.0]
    lanes = [
        lane_of({"weight.m": np.full((n, 3), m), "weight.v": np.full((n, 3), v), "optimizer.e": np.full((n, 3), m)})
        for n, m, v in zip(counts, levels, spreads, strict=True)
    ]
    got = merge(tmp_path, lanes, weights)
    level = np.average(levels, weights=weights)
    spread = np.average(spreads, weights=weights) + np.average((np.array(levels) - level) ** 2, weights=weights)
    for name, value in {"weight.m": level, "weight.v": spread, "optimizer.e": level}.items():
        kept = DECAYS[name] ** sum(counts)
        np.testing.assert_allclose(got[name], START[name] * kept + (1 - kept) * value, rtol=1e-5)


def test_a_lane_without_an_update_says_nothing_and_nobody_with_none_keeps_all(tmp_path: Path) -> None:
    seen = {name: np.full((5, 3), 4.0) for name in START}
    idle = (START, dict.fromkeys(START, 0))
    got = merge(tmp_path, [lane_of(seen), idle], [1.0, 99.0])
    for name in START:
        np.testing.assert_allclose(got[name], moved(seen[name], name), rtol=1e-5)
    assert state.digest(merge(tmp_path, [idle, idle], [1.0, 2.0])) == state.digest(START)
    everything = merge(tmp_path, [lane_of(seen), idle], [0.0, 1.0])  # who moved has no weight
    assert state.digest(everything) == state.digest(START)
    held = {name: (START[name], 9) for name in START}  # decay 1: moved nine times, by nothing
    lanes = [({n: t for n, (t, _) in held.items()}, {n: s for n, (_, s) in held.items()})] * 2
    assert state.digest(merge(tmp_path, lanes, [1.0, 2.0], decays=dict.fromkeys(START, 1.0))) == state.digest(START)


def test_decay_0_is_the_last_batch(tmp_path: Path) -> None:
    values = {name: np.full(3, 6, np.float32) for name in START}
    got = merge(tmp_path, [(values, dict.fromkeys(START, 4))] * 2, [1.0, 1.0], decays=dict.fromkeys(START, 0.0))
    assert state.digest(got) == state.digest(values)


# What the model counts


def saved(folder: Path, model: Any) -> Learner:
    model.save(folder / "m.keras")
    return Learner(folder / "m.keras")


def train(learner: Learner, micro: int | None = None) -> dict[str, int]:
    """Train 3 steps of 8 examples; return the updates by the layer's and tensor's name."""
    x = RANDOM.normal(size=(24, 4)).astype(np.float32)
    learner.train((x, np.arange(24) % 2), np.arange(24), np.array([0, 8, 16, 24]), 0, 3, micro)
    return {name.split(".", 2)[2]: count for name, count in learner.updates().items()}


def test_updates_are_counted_as_they_happen(tmp_path: Path) -> None:
    inputs = keras.Input((4,))
    shared, frozen = layers.BatchNormalization(name="shared"), layers.BatchNormalization(name="frozen")
    frozen.trainable = False
    inner = keras.Sequential([layers.BatchNormalization(name="inner")], name="block")
    hidden = frozen(shared(layers.Dense(4)(shared(inputs))))
    model = keras.Model(inputs, layers.Dense(2)(inner(hidden)))
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    learner = saved(tmp_path, model)
    expected = {"shared": 6, "frozen": 0, "inner": 3}
    pairs = ("moving_mean", "moving_variance")
    assert train(learner) == {f"{layer}/{name}": n for layer, n in expected.items() for name in pairs}
    pieces = {layer: n * 3 for layer, n in expected.items()}  # of 3, 3 and 2 examples
    assert train(learner, 3) == {f"{layer}/{name}": n for layer, n in pieces.items() for name in pairs}


def ema(momentum: float, **optimizer: Any) -> Any:
    keras.utils.set_random_seed(1)
    model = keras.Sequential([keras.Input((4,)), layers.Dense(2, name="out")])
    average = keras.optimizers.SGD(0.5, use_ema=True, ema_momentum=momentum, **optimizer)
    model.compile(average, keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    return model


def test_an_optimizers_averages_count_from_their_second_update_on(tmp_path: Path) -> None:
    learner = saved(tmp_path, ema(0.9))
    assert set(train(learner).values()) == {2}
    assert set(train(learner).values()) == {3}
    assert set(learner.decays.values()) == {0.9}
    accumulating = saved(tmp_path, ema(0.9, gradient_accumulation_steps=2))
    assert set(train(accumulating).values()) == {1}  # its first two calls belong to its first update


def test_batch_renormalization_has_two_decays(tmp_path: Path) -> None:
    renormalized = layers.BatchNormalization(renorm=True, renorm_momentum=0.5, momentum=0.8, name="n")
    model = keras.Sequential([keras.Input((4,)), renormalized, layers.Dense(2)])
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    learner = saved(tmp_path, model)
    assert {name.split("/")[1]: decay for name, decay in learner.decays.items()} == {
        "moving_mean": 0.8, "moving_stddev": 0.8, "renorm_mean": 0.5, "renorm_stddev": 0.5,
    }  # fmt: skip
    assert set(train(learner).values()) == {3}
    layer = learner.model.layers[0]
    layer.moving_stddev.assign(np.full(4, 3.0))
    learner.project()
    np.testing.assert_allclose(layer.moving_variance, 9 - layer.epsilon, rtol=1e-6)


# Whole trainings: lanes as the trainer runs them, averages as the reducer makes them


def trained(
    learner: Learner,
    folder: Path,
    data: Any,
    workers: int,
    epochs: int,
    rounds: int,
    momentum: float = 0.0,
    batch: int = 16,
) -> None:
    """Leave the learner in the last average of some lanes, as the last wave evaluates it."""
    x, y = data
    schedule = Schedule(workers, epochs, rounds, batch, 0, [len(x[k::workers]) for k in range(workers)])
    start, before = learner.export_state(), None
    for round_ in range(rounds):
        files = []
        for k in range(workers):
            learner.import_state(start)
            if round_:
                learner.project()
            shard = schedule.shard(round_, k)
            lane = Lane(learner, schedule, Progress(learner.rules, round_, k, 0, decays=learner.decays), None)
            lane.run((x[shard::workers], y[shard::workers]), [lane.total], 1e12, lambda: None)
            told = {name: getattr(lane.progress, name) for name in ("rules", "decays", "updates", "examples")}
            files.append(opened(learner.export_state(), folder / f"{k}", **told))
        weights = [float(file.progress.examples) for file in files]
        began = opened(start, folder / "start", rules=learner.rules)
        older = before and opened(before, folder / "before", rules=learner.rules)
        outer = averaging.Outer(momentum, began, older) if older else None
        moving = Moving.of(began, files, weights)
        (folder / "next").write_bytes(b"".join(averaging.merged(files, weights, {}, outer, None, moving)))
        before, start = start if momentum else None, state.load(folder / "next")[0]
    learner.import_state(start)
    learner.finish()
    learner.project()


def bars() -> Any:
    """Return images of 4 classes as (x, y): two rows of the class's own are brighter."""
    random = np.random.default_rng(1)
    y = random.integers(0, 4, 800)
    x = random.integers(0, 100, (800, 16, 16, 3))
    for k in range(800):
        x[k, y[k] * 3 : y[k] * 3 + 2] += 120
    return x.astype(np.uint8), y


def normalized(momentum: float = 0.99, **given: Any) -> Any:
    keras.utils.set_random_seed(1)
    body = [layers.Rescaling(1 / 255)]
    for filters in (8, 16):
        convolution = layers.Conv2D(filters, 3, padding="same", use_bias=False)
        body += [convolution, layers.BatchNormalization(momentum=momentum), layers.ReLU(), layers.MaxPooling2D(2)]
    model = keras.Sequential([keras.Input((16, 16, 3)), *body, layers.GlobalAveragePooling2D(), layers.Dense(4)])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(1e-2, **given), loss, metrics=["accuracy"])
    return model


@pytest.mark.parametrize("given", [{}, {"use_ema": True, "ema_momentum": 0.98}], ids=["batch norm", "weights too"])
def test_eight_lanes_are_as_accurate_as_plain_fit(tmp_path: Path, given: dict[str, Any]) -> None:
    x, y = bars()
    learner = saved(tmp_path, normalized(**given))
    trained(learner, tmp_path, (x[:600], y[:600]), workers=8, epochs=4, rounds=8, batch=6)  # 16 / sqrt(8)
    got = learner.evaluate((x[600:], y[600:]), "here")
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Skipping variable loading for optimizer")
        plain = keras.models.load_model(tmp_path / "m.keras")
    plain.fit(x[:600].astype(np.float32), y[:600], batch_size=16, epochs=4, verbose=0)
    expected = plain.evaluate(x[600:].astype(np.float32), y[600:], verbose=0, return_dict=True)
    assert got["accuracy"] >= expected["accuracy"] - 0.02


def norms(kernel: Any) -> Any:
    return np.linalg.norm(kernel, axis=0)


@pytest.mark.parametrize(
    ("constraint", "kept"),
    [
        (keras.constraints.NonNeg(), lambda kernel: (kernel >= 0).all()),
        (keras.constraints.MaxNorm(0.5), lambda kernel: norms(kernel).max() <= 0.5 + 1e-6),
        (keras.constraints.UnitNorm(), lambda kernel: np.allclose(norms(kernel), 1, atol=1e-6)),
        (keras.constraints.MinMaxNorm(0.4, 0.6), lambda k: (abs(norms(k) - 0.5) <= 0.1 + 1e-6).all()),
    ],
    ids=lambda given: type(given).__name__,
)
@pytest.mark.parametrize("momentum", [0.0, 0.6])
def test_constraints_hold_in_what_a_user_gets(
    tmp_path: Path, constraint: Any, kept: Callable[[Any], bool], momentum: float
) -> None:
    keras.utils.set_random_seed(0)
    hidden = layers.Dense(16, "relu", kernel_constraint=constraint)
    model = keras.Sequential([keras.Input((8,)), hidden, layers.Dense(3)])
    model.compile(keras.optimizers.Adam(3e-2), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    learner = saved(tmp_path, model)
    y = RANDOM.integers(0, 3, 300)
    x = (RANDOM.normal(0, 2, (3, 8))[y] + RANDOM.normal(size=(300, 8))).astype(np.float32)
    trained(learner, tmp_path, (x, y), workers=3, epochs=2, rounds=4, momentum=momentum)
    assert kept(learner.model.layers[0].kernel.numpy())
