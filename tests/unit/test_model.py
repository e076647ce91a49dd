"""The learner against plain Keras on the same batches."""

import warnings
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers

from common.errors import ModelError
from common.plan.schedule import Schedule
from common.storage import state
from common.training.memory import PeakMemory, give_back, private_bytes
from common.training.model import Learner

RANDOM = np.random.default_rng(3)
X = RANDOM.integers(0, 256, (203, 12, 12, 1), dtype=np.uint8)
Y = (X.reshape(203, -1)[:, :70].astype(int).sum(axis=1) // 90 % 5).astype(np.uint8)
SCHEDULE = Schedule(1, 2, 2, batch=16, seed=7, counts=[203])
SPARSE = keras.losses.SparseCategoricalCrossentropy


def network(*middle: Any) -> Any:
    body = [
        layers.Rescaling(1 / 255),
        layers.Conv2D(4, 3, activation="relu"),
        *middle,
        layers.Flatten(),
        layers.Dense(5),
    ]
    return keras.Sequential([keras.Input((12, 12, 1)), *body])


def batch_norm_adam() -> Any:
    keras.utils.set_random_seed(1)
    model = network(layers.BatchNormalization())
    model.compile(keras.optimizers.Adam(3e-3), SPARSE(from_logits=True), metrics=["accuracy"])
    return model


def momentum_sgd() -> Any:
    keras.utils.set_random_seed(2)
    inputs = keras.Input((12, 12, 1), dtype="uint8")
    hidden = layers.Flatten()(layers.Rescaling(1 / 255)(inputs))
    hidden = layers.Dense(8, "tanh", kernel_regularizer="l2", activity_regularizer="l1")(hidden)
    model = keras.Model(inputs, layers.Dense(5, "softmax")(hidden))
    model.compile(
        keras.optimizers.SGD(0.02, momentum=0.9, nesterov=True),
        SPARSE(),
        metrics=["accuracy", "sparse_top_k_categorical_accuracy"],
    )
    return model


def dropout_adamw() -> Any:
    keras.utils.set_random_seed(3)
    model = network(layers.BatchNormalization(), layers.Dropout(0.4), layers.GaussianNoise(0.1))
    rate = keras.optimizers.schedules.CosineDecay(3e-3, 100)
    model.compile(keras.optimizers.AdamW(rate, clipnorm=1.0), SPARSE(from_logits=True), metrics=["accuracy"])
    return model


def recurrent_dropout() -> Any:
    keras.utils.set_random_seed(5)
    hidden = layers.LSTM(6, dropout=0.2, recurrent_dropout=0.2)
    model = keras.Sequential([keras.Input((12, 12, 1)), layers.Reshape((12, 12)), hidden, layers.Dense(5, "softmax")])
    model.compile("rmsprop", SPARSE(), metrics=["accuracy"])
    return model


def mixed_precision(inner: str = "nadam") -> Any:
    keras.utils.set_random_seed(4)
    policy = keras.DTypePolicy("mixed_float16")
    model = keras.Sequential(
        [keras.Input((12, 12, 1)), layers.Rescaling(1 / 255), layers.Flatten(), layers.Dense(5, dtype=policy)]
    )
    optimizer = keras.optimizers.LossScaleOptimizer(keras.optimizers.get(inner))
    model.compile(optimizer, SPARSE(from_logits=True), metrics=["accuracy"])
    return model


def saved(tmp_path: Path, build: Callable[[], Any]) -> Path:
    path = tmp_path / "initial.keras"
    build().save(path)
    return path


def plain_keras(path: Path) -> Any:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Skipping variable loading for optimizer")  # saved before its first step
        return keras.models.load_model(path)


def train_whole(learner: Learner, round_: int = 0, cuts: tuple[int, ...] = (), micro: int | None = None) -> list[Any]:
    order, bounds = SCHEDULE.order(round_, 0)
    edges = [0, *cuts, SCHEDULE.steps(round_, 0)]
    return [learner.train((X, Y), order, bounds, a, b, micro) for a, b in pairwise(edges)]


def values(model: Any) -> list[Any]:
    known = [*model.trainable_variables, *model.non_trainable_weights, *model.optimizer.variables]
    return [variable.numpy() for variable in known]


def assert_same(learner: Learner, model: Any, tolerance: float) -> None:
    for got, expected in zip(values(learner.model), values(model), strict=True):
        np.testing.assert_allclose(got, expected, rtol=0, atol=tolerance)


def assert_identical(got: state.Tensors, expected: state.Tensors) -> None:
    assert got.keys() == expected.keys()
    for name, tensor in expected.items():
        np.testing.assert_array_equal(got[name], tensor, err_msg=name)
    assert state.digest(got) == state.digest(expected)


@pytest.mark.parametrize("build", [batch_norm_adam, momentum_sgd, mixed_precision])
def test_training_is_plain_keras(tmp_path: Path, build: Callable[[], Any]) -> None:
    path = saved(tmp_path, build)
    learner = Learner(path)
    plain = plain_keras(path)
    for round_ in range(2):
        sums = train_whole(learner, round_)[0]
        order, bounds = SCHEDULE.order(round_, 0)
        expected: dict[str, list[float]] = {}
        for a, b in pairwise(bounds):
            logs = plain.train_on_batch(X[order[a:b]], Y[order[a:b]], return_dict=True)
            for name, value in logs.items():
                total = expected.setdefault(name, [0.0, 0.0])
                total[:] = [total[0] + float(value) * (b - a), total[1] + (b - a)]
        assert sums == {name: pytest.approx(pair, rel=1e-5) for name, pair in expected.items()}
        assert_same(learner, plain, 1e-6)
    assert not np.array_equal(values(plain)[0], values(plain_keras(path))[0])


def test_training_is_plain_fit(tmp_path: Path) -> None:
    path = saved(tmp_path, batch_norm_adam)
    learner = Learner(path)
    plain = plain_keras(path)
    order, bounds = np.arange(203), np.append(np.arange(0, 203, 16), 203)
    learner.train((X, Y), order, bounds, 0, 13)
    plain.fit(X.astype(np.float32), Y, batch_size=16, shuffle=False, verbose=0)
    assert_same(learner, plain, 1e-6)


@pytest.mark.parametrize("build", [dropout_adamw, recurrent_dropout])
def test_same_slice_four_times_and_any_cut_give_the_same_bits(tmp_path: Path, build: Callable[[], Any]) -> None:
    path = saved(tmp_path, build)
    learner = Learner(path)
    start = learner.export_state()
    results = []
    for _ in range(4):
        learner.import_state(start)
        learner.set_seeds(7, 0, 0)
        whole = train_whole(learner)[0]
        results.append(learner.export_state())
    for result in results[1:]:
        assert_identical(result, results[0])
    assert set(results[0]) == set(learner.rules)

    sums = []
    for first, last in [(0, 3), (3, 8), (8, 13)]:  # each slice in a learner of its own, as in another container
        piece = Learner(path)
        if first:
            piece.import_state(state.load(tmp_path / "state")[0])
        else:
            piece.set_seeds(7, 0, 0)
        sums.append(piece.train((X, Y), *SCHEDULE.order(0, 0), first, last))
        state.save(tmp_path / "state", piece.export_state(), {})
    assert_identical(state.load(tmp_path / "state")[0], results[0])
    added = {name: [sum(s[name][i] for s in sums) for i in (0, 1)] for name in whole}
    assert {name: pytest.approx(pair) for name, pair in added.items()} == whole


def test_finish_is_the_end_of_fit(tmp_path: Path) -> None:
    model = network()
    model.compile(keras.optimizers.SGD(0.1, use_ema=True, ema_momentum=0.9), SPARSE(from_logits=True))
    model.save(tmp_path / "m.keras")
    learner, plain = Learner(tmp_path / "m.keras"), plain_keras(tmp_path / "m.keras")
    learner.train((X, Y), np.arange(203), np.append(np.arange(0, 203, 16), 203), 0, 13)
    trained = learner.export_state()
    learner.finish()
    plain.fit(X, Y, batch_size=16, shuffle=False, verbose=0)
    assert_same(learner, plain, 1e-6)
    assert state.digest(trained) != state.digest(learner.export_state())


def test_seeds_depend_on_seed_round_and_lane(tmp_path: Path) -> None:
    learner = Learner(saved(tmp_path, dropout_adamw))
    seen = set()
    for place in [(7, 0, 0), (8, 0, 0), (7, 1, 0), (7, 0, 1)]:
        learner.set_seeds(*place)
        tensors = learner.export_state()
        seen |= {tuple(tensors[name]) for name in tensors if name.startswith("seed.")}
    assert len(seen) == 8  # four places, two generators


@pytest.mark.parametrize(("build", "tolerance"), [(momentum_sgd, 1e-5), (lambda: mixed_precision("sgd"), 1e-3)])
def test_micro_batches_are_the_whole_batch(tmp_path: Path, build: Callable[[], Any], tolerance: float) -> None:
    path = saved(tmp_path, build)
    whole, micro = Learner(path), Learner(path)
    expected, got = train_whole(whole)[0], train_whole(micro, micro=5)[0]
    assert_same(micro, whole.model, tolerance)
    for name in ("accuracy", "loss"):
        assert got[name] == pytest.approx(expected[name], rel=10 * tolerance)


@pytest.mark.parametrize("build", [batch_norm_adam, momentum_sgd])
def test_evaluation_is_plain_keras(tmp_path: Path, build: Callable[[], Any]) -> None:
    path = saved(tmp_path, build)
    learner = Learner(path)
    assert learner.evaluate((X, Y), "here") == pytest.approx(
        plain_keras(path).evaluate(X, Y, verbose=0, return_dict=True), abs=1e-6
    )
    train_whole(learner)
    learner.save(tmp_path / "final.keras")
    plain = plain_keras(tmp_path / "final.keras")
    expected = plain.evaluate(X, Y, verbose=0, return_dict=True)
    assert learner.evaluate((X, Y), "here") == pytest.approx(expected, abs=1e-6)
    assert_same(learner, plain, 0)


@pytest.mark.parametrize("micro", [None, 7])
def test_weights_of_examples_are_those_of_plain_keras(tmp_path: Path, micro: int | None) -> None:
    keras.utils.set_random_seed(6)
    model = keras.Sequential([keras.Input((6,)), layers.Dense(5, "tanh"), layers.Dense(3)])
    model.compile("sgd", SPARSE(from_logits=True), metrics=["accuracy"], weighted_metrics=["accuracy"])
    model.save(tmp_path / "m.keras")
    x, y, weights = RANDOM.normal(size=(90, 6)), np.arange(90) % 3, RANDOM.random(90).astype(np.float32) * 4
    learner, plain = Learner(tmp_path / "m.keras"), plain_keras(tmp_path / "m.keras")
    sums = learner.train((x, y, weights), np.arange(90), np.array([0, 40, 80, 90]), 0, 3, micro)
    history = plain.fit(x, y, sample_weight=weights, batch_size=40, shuffle=False, verbose=0).history
    assert_same(learner, plain, 1e-6)
    for name, (total, count) in sums.items():
        assert total / count == pytest.approx(history[name][0], rel=1e-5), name


def test_other_kinds_of_labels_and_metrics(tmp_path: Path) -> None:
    keras.utils.set_random_seed(5)
    model = keras.Sequential([layers.Dense(3), layers.Dense(2)])  # built by its first call, without an Input
    x, y = RANDOM.normal(size=(90, 6)), RANDOM.normal(size=(90, 2))
    model.compile("adam", "mse", metrics=[keras.metrics.RootMeanSquaredError(), "mae", keras.metrics.R2Score()])
    model.fit(x, y, verbose=0)
    model.save(tmp_path / "m.keras")
    learner = Learner(tmp_path / "m.keras")
    plain = plain_keras(tmp_path / "m.keras")
    order, bounds = np.arange(90), np.array([0, 40, 80, 90])
    sums = learner.train((x, y), order, bounds, 0, 3)
    plain.fit(x, y, batch_size=40, shuffle=False, verbose=0)
    assert_same(learner, plain, 1e-6)
    assert sorted(sums) == ["loss", "mae"]
    assert learner.evaluate((x, y), "here") == pytest.approx(
        plain.evaluate(x, y, verbose=0, return_dict=True), abs=1e-6
    )


def test_rules_and_names(tmp_path: Path) -> None:
    keras.utils.set_random_seed(6)
    inner = keras.Sequential([layers.BatchNormalization(name="inner")], name="block")
    body = [
        layers.TimeDistributed(layers.BatchNormalization(name="wrapped")),
        inner,
        layers.Dropout(0.5),
        layers.Dense(1, name="out"),
    ]
    model = keras.Sequential([keras.Input((4, 3)), *body])
    model.compile("nadam", "mse")
    model.save(tmp_path / "m.keras")
    first = Learner(tmp_path / "m.keras")
    rules = first.rules
    means = {name for name in rules if name.endswith("moving_mean")}
    assert len(means) == 2
    for mean in means:
        variance = rules[mean].removeprefix("moments-mean:")
        assert (variance.split(".")[2], rules[variance]) == (
            mean.split(".")[2].replace("_mean", "_variance"),
            f"moments-variance:{mean}",
        )
    kept = {name for name, rule in rules.items() if rule == "keep"}
    assert kept == {
        "optimizer.0000.nadam/iteration",
        "optimizer.0001.nadam/learning_rate",
        next(name for name in rules if name.startswith("optimizer.") and name.endswith(".variable")),  # Nadam's product
        "seed.0000.seed_generator/seed_generator_state",
    }
    assert {rule for name, rule in rules.items() if name not in kept and "moving" not in name} == {"mean"}
    assert Learner(tmp_path / "m.keras").rules == rules


def test_learning_rate_replaces_a_rate_and_a_schedule(tmp_path: Path) -> None:
    for build in (batch_norm_adam, dropout_adamw, mixed_precision):
        path = saved(tmp_path, build)
        trained = Learner(path)
        train_whole(trained)
        trained.save(path)
        slots = {
            n.split("/")[-1]: t for n, t in trained.export_state().items() if n.startswith("optimizer") and t.shape
        }
        learner = Learner(path, 0.125)
        tensors = learner.export_state()
        assert {
            n.split("/")[-1]: t for n, t in tensors.items() if n.startswith("optimizer") and t.shape
        }.keys() == slots.keys()
        for name, slot in slots.items():
            kept = next(t for n, t in tensors.items() if n.startswith("optimizer") and n.endswith("/" + name))
            np.testing.assert_array_equal(kept, slot)
            assert np.abs(slot).max() > 0
        assert float(learner.model.optimizer.learning_rate) == 0.125
        learner.save(tmp_path / "final.keras")
        again = plain_keras(tmp_path / "final.keras")
        assert float(again.optimizer.learning_rate) == 0.125
        assert_same(learner, again, 0)


def test_models_that_cannot_be_trained_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "m.keras"
    path.write_bytes(b"no zip")
    with pytest.raises(ModelError, match="model: Keras cannot load it: "):
        Learner(path)
    network().save(path)
    with pytest.raises(ModelError) as error:
        Learner(path)
    assert str(error.value) == "model: got no compile configuration, expected a model saved after model.compile()"
    fixed = keras.Sequential([keras.Input((3,)), layers.Activation("relu")])
    fixed.compile("sgd", "mse")
    fixed.save(path)
    with pytest.raises(ModelError, match="got no trainable weights"):
        Learner(path)
    code = keras.Sequential([keras.Input((3,)), layers.Lambda(lambda x: x * 2), layers.Dense(1)])
    code.compile("sgd", "mse")
    code.save(path)
    with pytest.raises(ModelError, match="model: Keras cannot load it: .*unsafe"):
        Learner(path)


def test_states_and_data_of_another_model_are_refused(tmp_path: Path) -> None:
    learner = Learner(saved(tmp_path, momentum_sgd))
    tensors = learner.export_state()
    name = next(iter(tensors))
    with pytest.raises(ModelError, match="state: got 11 tensors that differ from the model's in "):
        learner.import_state({**tensors, "x": tensors[name]})
    with pytest.raises(ModelError, match=r"state: .*kernel: got \(2,\), expected \(144, 8\)"):
        learner.import_state({**tensors, name: np.zeros(2, np.float32)})
    with pytest.raises(ModelError, match=r"model: got x uint8\(7,\) and y uint8\(\), which it cannot take: "):
        learner.evaluate((np.zeros((9, 7), np.uint8), Y[:9]), "here")


def test_a_class_without_an_output_is_told_in_one_line(tmp_path: Path) -> None:
    model = keras.Sequential([keras.Input((2, 2, 1)), layers.Conv2D(3, 1)])
    model.compile("sgd", SPARSE(from_logits=True))
    model.save(tmp_path / "m.keras")
    x, y = np.zeros((9, 2, 2, 1), np.float32), np.zeros((9, 2, 2), np.uint8)
    y[7] = 3
    with pytest.raises(ModelError) as error:
        Learner(tmp_path / "m.keras").train((x, y), np.arange(9), np.array([0, 4, 9]), 0, 2)
    assert str(error.value).startswith("model: got a batch that it cannot take: ")
    assert str(error.value).endswith("= 3 is not in [0, 3)") and len(str(error.value)) < 100


def test_saving_holds_no_copies_of_the_state(tmp_path: Path) -> None:
    model = keras.Sequential([keras.Input((1000,)), layers.Dense(4000), layers.Dense(1)])
    model.compile(keras.optimizers.SGD(0.01, momentum=0.9), "mse")
    model.save(tmp_path / "m.keras")
    learner, path = Learner(tmp_path / "m.keras"), tmp_path / "state"
    learner.train((np.ones((4, 1000), np.float32), np.ones(4, np.float32)), np.arange(4), np.array([0, 4]), 0, 1)
    before = private_bytes()
    with PeakMemory() as peak:
        state.save(path, learner.export_state(), {})
        learner.save(tmp_path / "final.keras")
        held, _ = state.load(path)
    size = sum(tensor.nbytes for tensor in held.values())
    assert size > 32e6 and peak.bytes - before < 1.5 * size  # Keras holds a variable twice while it writes it


@pytest.mark.parametrize(("activation", "micro"), [("relu", None), ("silu", 2)], ids=["optimizer", "layer"])
def test_a_learner_that_is_gone_leaves_nothing(tmp_path: Path, activation: str, micro: int | None) -> None:
    model = keras.Sequential([keras.Input((1000,)), layers.Dense(1500, activation), layers.Dense(1)])
    model.compile("adam", "mse")
    model.save(tmp_path / "m.keras")
    x, y, held = np.ones((4, 1000), np.float32), np.ones(4, np.float32), []
    for _ in range(5):
        learner = Learner(tmp_path / "m.keras")
        learner.train((x, y), np.arange(4), np.array([0, 4]), 0, 1, micro)
        learner.evaluate((x, y), "here")
        del learner
        give_back()
        held.append(private_bytes())
    assert held[-1] - held[1] < 20 << 20, held  # one has 18 MB of weights and slots


def test_memory_does_not_grow_with_the_shard(tmp_path: Path) -> None:
    keras.utils.set_random_seed(8)
    model = keras.Sequential(
        [keras.Input((128, 128, 3)), layers.AveragePooling2D(64), layers.Flatten(), layers.Dense(2)]
    )
    model.compile("sgd", SPARSE(from_logits=True))
    model.save(tmp_path / "m.keras")
    learner = Learner(tmp_path / "m.keras")
    peaks = []
    for count in (400, 6000):  # 20 and 295 MB
        x = np.lib.format.open_memmap(tmp_path / f"{count}.npy", "w+", np.uint8, (count, 128, 128, 3))
        x[:] = 3
        x.flush()
        del x
        x = np.load(tmp_path / f"{count}.npy", mmap_mode="r")
        order, bounds = Schedule(1, 1, 1, 32, 0, [count]).order(0, 0)
        with PeakMemory() as peak:
            learner.train((x, np.zeros(count, np.uint8)), order, bounds, 0, len(bounds) - 1)
            learner.evaluate((x, np.zeros(count, np.uint8)), "here")
        peaks.append(peak.bytes)
    assert peaks[1] - peaks[0] < 40 << 20, peaks


def test_a_schedule_free_optimizer_steps_from_the_weights_of_the_file(tmp_path):
    keras.utils.set_random_seed(3)
    model = keras.Sequential([keras.Input((3,)), layers.Dense(2, name="last")])
    model.compile(keras.optimizers.ScheduleFreeAdamW(0.01), "mse")
    model.save(tmp_path / "m.keras")  # without its slots: it has made no step
    state = Learner(tmp_path / "m.keras", 0.02).export_state()
    for kind in ("kernel", "bias"):
        (weight,), (stepped,) = (
            [tensor for name, tensor in state.items() if name.endswith(end)]
            for end in (f"last/{kind}", f"last_{kind}_momentum")
        )
        np.testing.assert_array_equal(stepped, weight)


KINDS = {name: kind for name, kind in vars(keras.optimizers).items() if isinstance(kind, type)}
NO_RATE = {"Optimizer", "MultiOptimizer"}  # has no step; has no one rate
OPTIMIZERS = sorted({name for name, kind in KINDS.items() if issubclass(kind, keras.optimizers.Optimizer)} - NO_RATE)


def optimized(path, name, *, built):
    """Save a model of an optimizer, with its slots or, as one that has made no step, without; return the learner."""
    keras.utils.set_random_seed(3)
    kind = getattr(keras.optimizers, name)
    optimizer = kind(keras.optimizers.Adam(0.01)) if name == "LossScaleOptimizer" else kind(0.01)
    model = keras.Sequential([keras.Input((3,)), layers.Dense(2, name="last")])
    model.compile(optimizer, "mse")
    if built:
        optimizer.build(model.trainable_variables)
    model.save(path)
    return Learner(path, 0.25)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_model_saved_before_its_first_step_starts_as_one_saved_with_slots(tmp_path, name):
    """Some optimizers' slots begin at the weights, of which Keras draws others before it loads them."""
    fresh, whole = (optimized(tmp_path / "m.keras", name, built=built).export_state() for built in (False, True))
    assert fresh.keys() == whole.keys()
    for tensor, expected in whole.items():
        np.testing.assert_array_equal(fresh[tensor], expected, err_msg=tensor)
    rates = [float(rate) for tensor, rate in fresh.items() if tensor.endswith("learning_rate")]
    assert rates[-1] == 0.25  # a LossScaleOptimizer has one that nothing uses before it
