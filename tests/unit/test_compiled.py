"""Losses and metrics in every form that Keras saves: read as the planner reads them, trained as lanes do."""

import contextlib
import inspect
import json

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import losses, metrics
from keras.src.losses import ALL_OBJECTS_DICT as LOSS_STRINGS
from keras.src.metrics import ALL_OBJECTS_DICT as METRIC_STRINGS

from common.errors import ModelError
from common.plan import compiled, keras_file
from common.plan.keras_names import MEANS
from common.plan.keras_outputs import CROSSENTROPIES, ERRORS
from common.training.model import Learner

NO_LOSS, NO_METRIC = {"Loss", "LossFunctionWrapper"}, {"Mean", "mean", "Sum", "sum", "Metric", "metric"}
SPARSE = "sparse_categorical_crossentropy"
ARGUMENTS = {
    "MeanIoU": {"num_classes": 3},
    "OneHotMeanIoU": {"num_classes": 3},
    "IoU": {"num_classes": 3, "target_class_ids": [0]},
    "OneHotIoU": {"num_classes": 3, "target_class_ids": [0]},
    "PrecisionAtRecall": {"recall": 0.5},
    "RecallAtPrecision": {"precision": 0.5},
    "SensitivityAtSpecificity": {"specificity": 0.5},
    "SpecificityAtSensitivity": {"sensitivity": 0.5},
    "MeanMetricWrapper": {"fn": losses.mean_squared_error},
}


def public(module):
    """Return the names of a module's losses or metrics, functions and classes."""
    return [n for n in dir(module) if callable(getattr(module, n)) and n not in ("get", "serialize", "deserialize")]


def made(module, name):
    """Return a loss or metric as a user gives it to compile: a function, or an object."""
    found = getattr(module, name)
    return found(**ARGUMENTS.get(name, {})) if inspect.isclass(found) else found


def functional(loss, metrics=None):
    entry = keras.Input((4,))
    model = keras.Model(entry, keras.layers.Dense(3, "softmax", name="answer")(entry))
    model.compile("sgd", loss, metrics=metrics)
    return model


def configuration(model, loss, metrics=None):
    """Return what the file of a model compiled so says; compiled again, not made again."""
    model.compile("sgd", loss, metrics=metrics)
    return json.loads(json.dumps(keras.saving.serialize_keras_object(model)))


@pytest.fixture(scope="module")
def model():
    return functional("mse")


def saved(tmp_path, loss, metrics=None):
    functional(loss, metrics).save(tmp_path / "m.keras")
    return keras_file.read(tmp_path / "m.keras", "m.keras")


def test_the_tables_are_those_of_keras():
    assert compiled.LOSS_NAMES.keys() - {"CategoricalGeneralizedCrossEntropy"} == LOSS_STRINGS.keys() - NO_LOSS
    assert compiled.METRIC_NAMES.keys() == METRIC_STRINGS.keys() - NO_METRIC
    means = {name for name, metric in METRIC_STRINGS.items() if metric.result is metrics.Mean.result} - NO_METRIC
    assert {name for row in MEANS for name in row} == means
    for name, loss in LOSS_STRINGS.items():
        if inspect.isfunction(loss):
            assert compiled.LOSS_NAMES[name] == loss.__name__


@pytest.mark.parametrize("name", public(losses))
def test_every_loss_as_function_or_object_and_as_metric(model, name):
    config = configuration(model, made(losses, name), [made(losses, name)])
    if name in ("Loss", "categorical_generalized_cross_entropy"):  # has nothing to call; lacks an argument
        with pytest.raises(ModelError, match=f"^loss {name}: got no loss of Keras itself"):
            keras_file.describe(config)
        return
    found = keras_file.describe(config)
    assert found.outputs[0].loss == compiled.LOSS_NAMES[name] and found.means
    model.compile_from_config(config["compile_config"])


@pytest.mark.parametrize("name", public(metrics))
def test_every_metric_as_function_or_object(model, name):
    config = configuration(model, "mse", {"answer": [made(metrics, name)]})
    if name in NO_METRIC:  # take no predictions
        with pytest.raises(ModelError, match=f"^metric {name}: got no metric of Keras itself"):
            keras_file.describe(config)
        return
    found = keras_file.describe(config)
    model.compile_from_config(config["compile_config"])
    part = model._compile_metrics._user_metrics["answer"][0]
    is_mean = inspect.isfunction(part) or type(part).result is metrics.Mean.result
    assert (found.means, found.accuracy) == (is_mean, name.lower().endswith("accuracy"))


@pytest.mark.parametrize("name", [*sorted(LOSS_STRINGS.keys() - NO_LOSS), "ce", "CrossEntropy"])
def test_every_loss_as_a_string_and_in_list_and_dict(name):
    for form in (name, [name], {"answer": name}, {"answer": [name]}):
        found = compiled.read({"optimizer": {"class_name": "Adam"}, "loss": form}, compiled.Names(("answer",), False))
        assert found.losses["answer"].name == compiled.LOSS_NAMES.get(name, compiled.CROSSENTROPY)


def trained(tmp_path, loss, metric):
    """Return everything that two steps and an evaluation leave."""
    keras.utils.set_random_seed(1)
    found = saved(tmp_path, loss, metric).for_labels([()])
    assert (found.outputs[0].loss, found.outputs[0].classes) == (SPARSE, 3)
    assert found.accuracy and found.means
    learner = Learner(tmp_path / "m.keras", 0.1)
    x, y = np.random.default_rng(0).normal(size=(40, 4)).astype("f4"), np.arange(40) % 3
    learner.train((x, y), np.arange(40), np.array([0, 20, 40]), 0, 2)
    return [*learner.export_state().values(), *learner.evaluate((x, y), "here").values()]


@pytest.fixture(scope="module")
def by_name(tmp_path_factory):
    return trained(tmp_path_factory.mktemp("name"), SPARSE, ["accuracy"])


@pytest.mark.parametrize(
    "loss",
    [
        losses.sparse_categorical_crossentropy,
        {"answer": losses.sparse_categorical_crossentropy},
        [losses.SparseCategoricalCrossentropy()],
        "ce",
    ],
    ids=["function", "dict", "list", "ce"],
)
def test_each_form_is_trained_as_the_name_is(tmp_path, by_name, loss):
    metric = {"answer": [metrics.sparse_categorical_accuracy]}
    for one, other in zip(trained(tmp_path, loss, metric), by_name, strict=True):
        np.testing.assert_array_equal(one, other)


def my_loss(y, predicted):
    return keras.ops.mean(keras.ops.abs(y - predicted))


@keras.saving.register_keras_serializable("mine")
def registered(y, predicted):
    return my_loss(y, predicted)


class MyLoss(losses.Loss):
    def call(self, y, predicted):
        return my_loss(y, predicted)


class MyMetric(metrics.Mean):
    def update_state(self, y, predicted, sample_weight=None):
        return super().update_state(my_loss(y, predicted))


@pytest.mark.parametrize(
    ("loss", "metric", "start"),
    [
        (my_loss, [], "loss my_loss: got no loss of Keras itself, expected one of keras.losses"),
        ({"answer": my_loss}, [], "loss my_loss: "),
        (registered, [], "loss registered: "),
        (MyLoss(), [], "loss MyLoss: "),
        ("nope", [], "loss nope: "),
        ("mse", [my_loss], "metric my_loss: got no metric of Keras itself, expected one of keras.metrics"),
        ("mse", {"answer": [MyMetric()]}, "metric MyMetric: "),
        ("mse", [metrics.MeanMetricWrapper(my_loss)], "metric my_loss: "),
        ("mse", ["Mse"], "metric Mse: "),
        (["mse", "mae"], [], "loss: got 2, expected one loss"),
        ({"other": "mse"}, [], "loss: got the output other, expected answer"),
    ],
    ids=str,
)
def test_what_is_not_of_keras_is_refused_by_its_own_name(tmp_path, loss, metric, start):
    with pytest.raises(ModelError) as error:
        saved(tmp_path, loss, metric)
    assert str(error.value).startswith(start)


@pytest.mark.filterwarnings("ignore:The object being serialized includes a `lambda`")
def test_a_lambda_has_no_other_name(tmp_path):
    with pytest.raises(ModelError, match="^loss <lambda>: "):
        saved(tmp_path, lambda y, predicted: keras.ops.mean(y - predicted))


def test_a_sequential_model_takes_no_dict_of_losses_as_keras_takes_none(tmp_path):
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, "softmax", name="answer")])
    model.compile("sgd", {"answer": SPARSE})
    with pytest.raises(TypeError):
        model.fit(np.zeros((4, 4)), np.zeros(4), verbose=0)
    model.save(tmp_path / "m.keras")
    with pytest.raises(ModelError, match="^loss: got a dict, expected the loss alone"):
        keras_file.read(tmp_path / "m.keras", "m.keras")


def test_an_output_in_a_dict_has_the_dicts_name(tmp_path):
    entry = keras.Input((4,))
    model = keras.Model(entry, {"answer": keras.layers.Dense(3, name="d")(entry)})
    model.compile("sgd", {"answer": "mse"})
    model.save(tmp_path / "m.keras")
    (found,) = keras_file.read(tmp_path / "m.keras", "m.keras").outputs
    assert (found.name, found.loss, found.classes, found.label_shape) == ("answer", "mean_squared_error", 3, ())


@pytest.mark.parametrize(
    ("names", "means"),
    [(["mse", "mae"], True), (["mse", losses.mean_squared_error], True), (["mse", "mse"], True), (["loss"], None)],
    ids=str,
)
def test_a_metric_that_is_called_loss_is_evaluated_by_one_lane(tmp_path, names, means):
    if means is None:
        names = [metrics.MeanSquaredError(name="loss")]
    assert saved(tmp_path, "mse", names).means is bool(means)


LABELS = [(), (1,), (2,), (3,), (3, 1), (5, 3)]


@pytest.mark.filterwarnings("ignore:In loss categorical_crossentropy:SyntaxWarning")
@pytest.mark.parametrize("units", [1, 3])
@pytest.mark.parametrize("loss", [*ERRORS, *CROSSENTROPIES, SPARSE, "ce"])
def test_labels_that_are_refused_are_those_that_keras_refuses(loss, units):
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(units, "sigmoid")])
    held = keras_file.describe(configuration(model, loss))
    for shape in LABELS:
        model.compile("sgd", loss)
        y = np.zeros((7, *shape), "i4" if "sparse" in loss else "f4")
        with contextlib.suppress(ModelError):
            held.for_labels([shape]).check_labels([shape])
            model.compute_loss(None, y, model(np.zeros((7, 4), "f4")))  # what is not refused, Keras takes
            continue
        with pytest.raises((ValueError, tf.errors.InvalidArgumentError)):
            model.compute_loss(None, y, model(np.zeros((7, 4), "f4")))


def several(tmp_path, **form):
    chosen = keras.optimizers.OptimizerMap(keras.optimizers.SGD(0.02, **form), {".*bias": keras.optimizers.Adam(1e-3)})
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
    model.compile(keras.optimizers.MultiOptimizer(chosen), "mse")
    model.save(tmp_path / "m.keras")
    return keras_file.read(tmp_path / "m.keras", "m.keras")


def test_several_optimizers_have_no_one_rate(tmp_path):
    assert not several(tmp_path).one_rate and saved(tmp_path, "mse").one_rate
    with pytest.raises(ModelError, match="^model: got use_ema in an optimizer of a MultiOptimizer, expected none"):
        several(tmp_path, use_ema=True)


@pytest.mark.parametrize("mode", ["multi_hot", "count", "tf_idf", "int"])
def test_labels_of_a_model_that_counts_words(tmp_path, mode):
    keras.utils.set_random_seed(1)
    weights = {"idf_weights": [1.0, 2.0]} if mode == "tf_idf" else {}
    words = keras.layers.TextVectorization(output_mode=mode, vocabulary=["a", "b"], **weights)
    after = [keras.layers.Embedding(9, 2), keras.layers.GlobalAveragePooling1D()] if mode == "int" else []
    model = keras.Sequential([keras.Input((1,), dtype="string"), words, *after, keras.layers.Dense(3)])
    model.compile("sgd", SPARSE)
    model.save(tmp_path / "m.keras")
    found = keras_file.read(tmp_path / "m.keras", "m.keras")
    found.check_labels([()])
    assert found.outputs[0].classes == 3
    model.fit(tf.constant([["a b"], ["b"]]), np.zeros(2, "i4"), verbose=0)  # as Keras itself takes it


WORDS, NUMBERS = np.array(["a", "b", "a"]), np.array([1, 2, 1])
COUNTED, HOT = ("multi_hot", "count", "tf_idf"), ("multi_hot", "count", "one_hot")
ENCODED = {  # {layer: what it takes, its settings, its output modes}
    "TextVectorization": (WORDS, {"vocabulary": ["a", "b"]}, COUNTED),
    "StringLookup": (WORDS, {"vocabulary": ["a", "b"]}, (*COUNTED, "one_hot")),
    "IntegerLookup": (NUMBERS, {"vocabulary": [1, 2]}, (*COUNTED, "one_hot")),
    "Hashing": (WORDS, {"num_bins": 5}, HOT),
    "Discretization": (NUMBERS * 1.0, {"bin_boundaries": [1.5]}, HOT),
    "CategoryEncoding": (NUMBERS, {"num_tokens": 5}, HOT),
}
ENCODERS = [
    (kind, mode, shape)
    for kind, (_, _, modes) in ENCODED.items()
    for mode in modes
    for shape in ((1,), ())
    if shape or kind == "TextVectorization" or (mode == "one_hot" and kind != "Hashing")  # what Keras itself takes
]


@pytest.mark.parametrize("nested", [False, True], ids=["", "nested"])
@pytest.mark.parametrize(("kind", "mode", "shape"), ENCODERS)
def test_labels_are_those_that_keras_takes_behind_every_encoder(tmp_path, kind, mode, shape, nested):
    x, form, _ = ENCODED[kind]
    form = {**form, "output_mode": mode, **({"idf_weights": [1.0, 2.0]} if mode == "tf_idf" else {})}
    keras.utils.set_random_seed(1)
    dtype = "string" if x.dtype.kind == "U" else x.dtype.name
    encoder = getattr(keras.layers, kind)(**form)
    first = keras.Sequential([keras.Input(shape, dtype=dtype), encoder]) if nested else encoder
    model = keras.Sequential([keras.Input(shape, dtype=dtype), first, keras.layers.Dense(3)])
    model.compile("sgd", SPARSE)
    fed = tf.constant(x.reshape(-1, *shape))
    y = np.zeros(model(fed).shape[:-1], "i4")
    model.compute_loss(None, y, model(fed))  # raises where Keras does not take them
    model.save(tmp_path / "m.keras")
    keras_file.read(tmp_path / "m.keras", "m.keras").check_labels([y.shape[1:]])
