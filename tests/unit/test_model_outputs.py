"""The learner on several outputs, against plain Keras on the same batches; and what the planner reads of them."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers

from common.errors import ModelError
from common.plan import keras_file
from common.reports import evaluation
from common.rounds import inspection
from common.training.model import Learner, rows_of
from common.training.warm import as_data

RANDOM = np.random.default_rng(18)
EXAMPLES = 90
X = RANDOM.normal(size=(EXAMPLES, 6)).astype(np.float32)
WEIGHT = RANDOM.uniform(0, 2, EXAMPLES).astype(np.float32)
Y = {
    "kind": RANDOM.integers(0, 3, EXAMPLES),
    "size": RANDOM.normal(size=(EXAMPLES, 2)).astype(np.float32),
    "sold": RANDOM.integers(0, 2, EXAMPLES).astype(np.uint8),
}
ORDER = ["size", "kind", "sold"]  # of the outputs: not of their names
SPARSE = keras.losses.SparseCategoricalCrossentropy()
LOSSES = {"kind": SPARSE, "size": "mse", "sold": "binary_crossentropy"}


def heads() -> tuple[Any, dict[str, Any]]:
    """Return an input and an output of each kind."""
    entry = keras.Input((6,), name="entry")
    body = layers.Dense(8, "relu")(entry)
    given = {
        "size": layers.Dense(2, name="size")(body),
        "kind": layers.Dense(3, "softmax", name="kind")(body),
        "sold": layers.Dense(1, "sigmoid", name="sold")(body),
    }
    return entry, given


def listed() -> Any:
    entry, given = heads()
    return keras.Model(entry, [given[name] for name in ORDER])


def by_name() -> Any:
    entry, given = heads()
    return keras.Model(entry, {name: given[name] for name in ORDER})


def by_other_names() -> Any:
    entry, given = heads()
    return keras.Model(entry, {f"the_{name}": given[name] for name in ORDER})


def shared() -> Any:
    """Return a model whose outputs are two calls of one layer."""
    left, right = keras.Input((3,), name="left"), keras.Input((3,), name="right")
    dense = layers.Dense(2, name="size")
    return keras.Model([left, right], [dense(left), dense(right)])


@dataclass(frozen=True)
class Case:
    """A model of several outputs, how it is compiled, and what its labels are, by the outputs' names."""

    build: Callable[[], Any]
    compiled: dict[str, Any]
    labels: dict[str, Any]  # None: an output without a loss
    x: Any = None  # X
    form: Callable[[dict[str, Any]], Any] = list  # of the labels, as plain Keras takes them


def of(names: list[str], ends: str = "") -> dict[str, Any]:
    return {f"{ends}{name}": Y[name] for name in names}


LIST = [LOSSES[name] for name in ORDER]
MEASURES = {"kind": ["accuracy"], "size": ["mae", "mse"], "sold": ["accuracy", "mae"]}
TWICE = {"left": X[:, :3], "right": X[:, 3:]}


def in_list(labels: dict[str, Any]) -> Any:
    return [*labels.values()]


CASES = {
    "a loss for all": Case(shared, {"loss": "mse"}, {"size": Y["size"], "size_1": -Y["size"]}, TWICE, in_list),
    "a loss for each": Case(listed, {"loss": LIST, "metrics": [["mae"], ["accuracy"], []]}, of(ORDER), form=in_list),
    "losses by name": Case(listed, {"loss": LOSSES, "metrics": MEASURES}, of(ORDER), form=in_list),
    "outputs by name": Case(by_name, {"loss": LOSSES, "metrics": MEASURES}, of(ORDER), form=dict),
    "other names": Case(
        by_other_names,
        {"loss": {f"the_{name}": loss for name, loss in LOSSES.items()}},
        of(ORDER, "the_"),
        form=dict,
    ),
    "weights of losses": Case(
        listed, {"loss": LOSSES, "loss_weights": {"kind": 0.5, "size": 2.0, "sold": 0.0}}, of(ORDER), form=in_list
    ),
    "weighted metrics": Case(by_name, {"loss": LOSSES, "weighted_metrics": MEASURES}, of(ORDER), form=dict),
    "one without a loss": Case(
        listed,
        {"loss": ["mse", None, "binary_crossentropy"], "metrics": [["mae"], [], ["accuracy"]]},
        {**of(ORDER), "kind": None},
        form=in_list,
    ),
    "one by name without a loss": Case(
        by_name,
        {"loss": {"size": "mse", "sold": "binary_crossentropy"}, "metrics": {"sold": ["accuracy"]}},
        {**of(ORDER), "kind": None},
        form=dict,
    ),
}


def saved(case: Case, path: Path) -> Path:
    model = case.build()
    model.compile(keras.optimizers.Adam(0.01), **case.compiled)
    model.optimizer.build(model.trainable_variables)
    model.save(path)
    return path


def data(case: Case, weight: Any) -> Any:
    """Return a set as a trainer makes it of a shard's arrays."""
    arrays = {f"x-{n}": one for n, one in enumerate(case.x.values())} if case.x else {"x": X}
    inputs = {name: f"x-{n}" for n, name in enumerate(case.x)} if case.x else None
    stored = {name: f"y-{n}" for n, name in enumerate(n for n, one in case.labels.items() if one is not None)}
    arrays |= {key: case.labels[name] for name, key in stored.items()}
    outputs = [[name, stored.get(name)] for name in case.labels]
    arrays |= {} if weight is None else {"weight": weight}
    return as_data(arrays, {"inputs": inputs, "outputs": outputs})


@pytest.mark.filterwarnings("ignore:Gradients do not exist")  # of an output without a loss
@pytest.mark.parametrize("weight", [None, WEIGHT], ids=["", "weighted"])
@pytest.mark.parametrize("name", CASES)
def test_several_outputs_are_plain_keras(tmp_path: Path, name: str, weight: Any) -> None:
    case = CASES[name]
    path = saved(case, tmp_path / "m.keras")
    learner, plain = Learner(path), keras.models.load_model(path)
    full = {one: np.zeros(EXAMPLES) if labels is None else labels for one, labels in case.labels.items()}
    fed = {"x": case.x or X, "y": case.form(full)}
    sums = learner.train(data(case, weight), np.arange(EXAMPLES), np.array([0, 40, 80, 90]), 0, 3)
    history = plain.fit(**fed, sample_weight=weight, batch_size=40, shuffle=False, verbose=0).history
    for got, expected in zip(learner.model.weights, plain.weights, strict=True):
        np.testing.assert_allclose(got.numpy(), expected.numpy(), rtol=0, atol=1e-6)
    assert {one: total / count for one, (total, count) in sums.items()} == pytest.approx(
        {one: values[0] for one, values in history.items()}, rel=1e-5
    )
    scores = plain.evaluate(**fed, verbose=0, return_dict=True)
    assert learner.evaluate(data(case, None), "here") == pytest.approx(scores, rel=1e-5)
    assert learner.sums().keys() == scores.keys()


@pytest.mark.parametrize("name", CASES)
def test_what_the_planner_reads(tmp_path: Path, name: str) -> None:
    case = CASES[name]
    found = keras_file.read(saved(case, tmp_path / "m.keras"), "m")
    assert [one.name for one in found.outputs] == [*case.labels]
    assert [one.name for one in found.labelled] == [one for one, labels in case.labels.items() if labels is not None]
    units = {"size": 2, "kind": 3, "sold": 1, "size_1": 2}
    assert [one.classes for one in found.outputs] == [units[one.removeprefix("the_")] for one in case.labels]
    assert found.means == ("weighted_metrics" not in case.compiled)
    found.check_labels([one.shape[1:] for one in case.labels.values() if one is not None])


def test_shares_of_several_outputs_are_the_whole_set(tmp_path: Path) -> None:
    case = CASES["losses by name"]
    learner = Learner(saved(case, tmp_path / "m.keras"))
    expected = learner.evaluate(data(case, None), "here")
    shares = []
    for first, last in ((0, 64), (64, EXAMPLES)):
        scores = learner.evaluate(rows_of(data(case, None), slice(first, last)), "here")
        shares.append({"scores": scores, "sums": learner.sums()})
        plan: Any = SimpleNamespace(shares=2, train=SimpleNamespace(y=[*Y.values()]))
        inspection.check_counts(shares[-1], plan, last - first)
    assert evaluation.merged(2, shares) == pytest.approx(expected, rel=1e-5)


def test_micro_batches_of_several_outputs_are_the_whole_batch(tmp_path: Path) -> None:
    case = CASES["losses by name"]
    path = saved(case, tmp_path / "m.keras")
    whole, pieces = Learner(path), Learner(path)
    order, bounds = np.arange(EXAMPLES), np.array([0, 45, 90])
    expected = whole.train(data(case, None), order, bounds, 0, 2)
    found = pieces.train(data(case, None), order, bounds, 0, 2, micro=15)
    for name, (total, count) in expected.items():
        assert found[name][0] / found[name][1] == pytest.approx(total / count, rel=1e-5), name
    for got, wanted in zip(pieces.model.weights, whole.model.weights, strict=True):
        np.testing.assert_allclose(got.numpy(), wanted.numpy(), rtol=0, atol=1e-5)


def test_what_a_learner_saves_predicts_the_same(tmp_path: Path) -> None:
    case = CASES["other names"]
    learner = Learner(saved(case, tmp_path / "m.keras"))
    learner.train(data(case, None), np.arange(EXAMPLES), np.array([0, 90]), 0, 1)
    learner.save(tmp_path / "final.keras")
    again = keras.models.load_model(tmp_path / "final.keras").predict(X, verbose=0)
    for name, expected in learner.model.predict(X, verbose=0).items():
        np.testing.assert_allclose(again[name], expected, rtol=0, atol=1e-6)


def nested() -> Any:
    entry, given = heads()
    return keras.Model(entry, {"sizes": [given["size"], given["size"]], "kind": given["kind"]})


REFUSED = {
    "too few": (listed, ["mse", "mse"], "loss: got 2, expected one for each of 3 outputs"),
    "an unknown name": (listed, {**LOSSES, "colour": "mse"}, "loss: got the output colour, expected size, kind, sold"),
    "a lacking name": (listed, {"kind": SPARSE}, "loss: got none for the output size, expected a list, with None"),
    "a list for names": (by_name, LIST, "loss: got a list, expected a dict by names, as the model gives its outputs"),
    "none at all": (listed, [None, None, None], "loss: got None for every output, expected one loss at least"),
    "outputs within each other": (nested, "mse", "model: got output_layers within each other, expected them in one"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_outputs_that_are_refused(tmp_path: Path, name: str) -> None:
    build, loss, sentence = REFUSED[name]
    model = build()
    model.compile("sgd", loss)
    model.save(tmp_path / "m.keras")
    with pytest.raises(ModelError) as error:
        keras_file.read(tmp_path / "m.keras", "m")
    assert str(error.value).startswith(sentence)


def test_labels_that_do_not_fit_are_refused_by_their_output(tmp_path: Path) -> None:
    found = keras_file.read(saved(CASES["losses by name"], tmp_path / "m.keras"), "m")
    with pytest.raises(ModelError) as error:
        found.check_labels([(3,), (), ()])
    assert str(error.value) == "model: output size: loss mean_squared_error, expected labels of shape (2,), got (3,)"
