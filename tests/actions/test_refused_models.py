"""Models that people could bring and that cannot be trained: each is refused in one sentence that names the cause."""

import io
import tempfile
import zipfile
from pathlib import Path

import keras
import numpy as np
import pytest
from keras import layers, optimizers

from common.errors import DlError
from common.plan import keras_file, keras_memory
from common.training.model import Learner

from .test_bad_input import refusal

SPARSE = "sparse_categorical_crossentropy"
OWN = keras.saving.register_keras_serializable("own")


@OWN
class OwnLayer(layers.Layer):
    """A layer of the user's own."""


@OWN
class OwnLoss(keras.losses.MeanSquaredError):
    """A loss of the user's own."""


@OWN
class OwnMetric(keras.metrics.Mean):
    """A metric of the user's own."""


@OWN
class OwnOptimizer(optimizers.SGD):
    """An optimizer of the user's own."""


@OWN
class OwnRegularizer(keras.regularizers.L2):
    """A regularizer of the user's own."""


@OWN
class OwnDecay(optimizers.schedules.ExponentialDecay):
    """A schedule of the user's own."""


@OWN
class OwnModel(keras.Model):
    """A network by subclassing."""

    def __init__(self, **settings):
        super().__init__(**settings)
        self.dense = layers.Dense(5)

    def call(self, inputs):
        return self.dense(keras.ops.reshape(inputs, (-1, 64)))


@OWN
def doubled(x):
    """Return an activation of the user's own."""
    return 2 * x


@OWN
def own_loss(expected, found):
    """Return a loss of the user's own."""
    return keras.ops.mean((expected - found) ** 2, axis=-1)


def stacked(*body, shape=(8, 8), dtype=None, units=5, **compiled):
    """Return a Sequential model, compiled unless that is None."""
    entry = keras.Input(shape, dtype=dtype)
    model = keras.Sequential([entry, *body, layers.Flatten(), layers.Dense(units, "softmax")])
    if compiled.get("loss", SPARSE) is not None:
        model.compile(**{"optimizer": "sgd", "loss": SPARSE, **compiled})
    return model


def branched(loss, **units):
    """Return a Functional model with outputs by these names."""
    entry = keras.Input((8, 8))
    outputs = {name: layers.Dense(count, name=name)(layers.Flatten()(entry)) for name, count in units.items()}
    model = keras.Model(entry, outputs)
    model.compile("sgd", loss)
    return model


def subclassed():
    model = OwnModel()
    model(np.zeros((1, 8, 8)))
    model.compile("sgd", SPARSE)
    return model


def stateful():
    model = keras.Sequential([keras.Input(batch_shape=(4, 8, 8)), layers.LSTM(4, stateful=True), layers.Dense(5)])
    model.compile("sgd", SPARSE)
    return model


def two_inputs():
    sides = [keras.Input((3,), name=name) for name in ("left", "right")]
    model = keras.Model(sides, layers.Dense(5)(layers.Concatenate()(sides)))
    model.compile("sgd", SPARSE)
    return model


def untrainable():
    model = stacked()
    model.trainable = False
    model.compile("sgd", SPARSE)
    return model


def not_finite():
    model = stacked(layers.Dense(4, name="inner"))
    model.get_layer("inner").set_weights([np.full((8, 4), np.nan), np.zeros(4)])
    return model


def codes(layer):
    """Return a model of text codes or words: one that looks them up, and embeds what it finds."""
    return stacked(
        layer, layers.Embedding(10, 4), shape=(8,), dtype="string" if "Integer" not in str(layer) else "int64"
    )


OWN_CODE = "expected layers of Keras itself without code of their own"
NOT_ADAPTED = "was not adapted, expected layer.adapt(examples) before model.save"
MODELS = {
    "a Lambda": (lambda: stacked(layers.Lambda(lambda x: x / 255)), f"model: got Lambda, {OWN_CODE}"),
    "a layer": (lambda: stacked(OwnLayer()), f"OwnLayer, {OWN_CODE}"),
    "an activation": (lambda: stacked(layers.Dense(8, doubled)), f"model: got doubled, {OWN_CODE}"),
    "a regularizer": (
        lambda: stacked(layers.Dense(8, kernel_regularizer=OwnRegularizer())),
        f"OwnRegularizer, {OWN_CODE}",
    ),
    "an optimizer": (
        lambda: stacked(optimizer=OwnOptimizer()),
        "OwnOptimizer, expected optimizers of Keras itself without code of their own",
    ),
    "a schedule": (
        lambda: stacked(optimizer=optimizers.SGD(OwnDecay(0.1, 10, 0.5))),
        "OwnDecay, expected optimizers of Keras itself without code of their own",
    ),
    "a loss": (
        lambda: stacked(loss=OwnLoss()),
        "loss OwnLoss: got no loss of Keras itself, expected one of keras.losses",
    ),
    "a loss function": (
        lambda: stacked(loss=own_loss),
        "loss own_loss: got no loss of Keras itself, expected one of keras.losses",
    ),
    "a metric": (
        lambda: stacked(metrics=[OwnMetric()]),
        "metric OwnMetric: got no metric of Keras itself, expected one of keras.metrics",
    ),
    "a subclass": (subclassed, "model: got class OwnModel, expected a Sequential or Functional model"),
    "not compiled": (
        lambda: stacked(loss=None),
        "model: got no optimizer and loss, expected a compiled model (model.compile before model.save)",
    ),
    "stateful": (stateful, "is stateful, expected stateful=False, as batches are shuffled"),
    "bfloat16": (
        lambda: stacked(layers.Dense(4, dtype="bfloat16")),
        "model: got the dtype bfloat16, expected float32 or mixed_bfloat16",
    ),
    "too few classes": (lambda: stacked(units=3), "y_train: got labels 0..4, expected 0..2 as the model gives"),
    "other examples": (
        lambda: stacked(shape=(28, 28)),
        "model: its input is (28, 28), expected (8, 8) as in the dataset",
    ),
    "labels that are not one-hot": (
        lambda: stacked(loss="categorical_crossentropy"),
        "model: loss categorical_crossentropy, expected labels of shape (5,), got ()",
    ),
    "a binary loss for classes": (
        lambda: stacked(loss="binary_crossentropy"),
        "model: loss binary_crossentropy, expected labels of shape (5,), got ()",
    ),
    "text for numbers": (
        lambda: codes(layers.StringLookup(vocabulary=["a"])),
        "x_train got dtype uint8, expected text as the model's input",
    ),
    "two inputs": (two_inputs, "expected left as an input of the model is called: say by inputs which array it takes"),
    "two outputs": (
        lambda: branched({"kind": SPARSE, "price": "mse"}, kind=5, price=1),
        "expected kind as an output of the model is called: say by label which array it takes",
    ),
    "a loss for another output": (
        lambda: branched({"size": "mse"}, kind=5),
        "loss: got the output size, expected kind",
    ),
    "no loss for any output": (
        lambda: branched({"kind": None, "price": None}, kind=5, price=1),
        "loss: got None for every output, expected one loss at least",
    ),
    "words not adapted": (
        lambda: codes(layers.TextVectorization(name="words", output_sequence_length=4)),
        f"model: layer words {NOT_ADAPTED}",
    ),
    "a lookup not adapted": (lambda: codes(layers.StringLookup(name="towns")), f"model: layer towns {NOT_ADAPTED}"),
    "numbers' lookup not adapted": (
        lambda: codes(layers.IntegerLookup(name="codes")),
        f"model: layer codes {NOT_ADAPTED}",
    ),
    "bins not adapted": (
        lambda: stacked(layers.Discretization(num_bins=4, name="bins")),
        f"model: layer bins {NOT_ADAPTED}",
    ),
    "a normalization not adapted": (
        lambda: stacked(layers.Normalization(name="scale")),
        f"model: layer scale {NOT_ADAPTED}",
    ),
    "nothing to train": (untrainable, "model: got no trainable weights, expected at least one"),
    "weights that are no numbers": (
        not_finite,
        "model: weight inner/kernel holds NaN or infinity, expected finite numbers",
    ),
}
NO_FILE = "expected one of keras.Model.save"
FILES = {
    "empty": (lambda _: b"", f"(File is not a zip file), {NO_FILE}"),
    "cut off": (lambda held: packed(held)[:900], f"(File is not a zip file), {NO_FILE}"),
    "no weights": (lambda held: packed(held, without="model.weights.h5"), NO_FILE),
    "no configuration": (lambda held: packed(held, without="config.json"), NO_FILE),
    "a broken configuration": (lambda held: packed({**held, "config.json": b"{"}), NO_FILE),
    "pictures": (lambda _: packed({"cat/1.png": b"x"}), NO_FILE),
    "a pickle": (lambda _: b"\x80\x04\x95abc.", f"(File is not a zip file), {NO_FILE}"),
    "PyTorch": (lambda _: packed({"archive/data.pkl": b"x"}), "got a PyTorch file, expected a compiled .keras file"),
    "SavedModel": (
        lambda _: packed({"saved_model.pb": b"x", "variables/variables.index": b"x"}),
        "got a TensorFlow SavedModel, expected a compiled .keras file",
    ),
    "a configuration alone": (
        lambda held: held["config.json"],
        "got a model's JSON without weights, expected a compiled .keras file",
    ),
    "weights cut off": (
        lambda held: packed({**held, "model.weights.h5": held["model.weights.h5"][:2000]}),
        "model.weights.h5 is damaged, expected it as model.save wrote it",
    ),
    "weights that are none": (
        lambda held: packed({**held, "model.weights.h5": b"x" * 100}),
        "model.weights.h5 is damaged, expected it as model.save wrote it",
    ),
    "another model's weights": (
        lambda held: packed({**held, "model.weights.h5": parts(stacked(layers.Dense(3)))["model.weights.h5"]}),
        "model.weights.h5 holds other weights than config.json says, expected both as model.save wrote them",
    ),
}


def parts(model):
    """Return the members of a model's file."""
    with tempfile.TemporaryDirectory() as folder:
        model.save(Path(folder) / "m.keras")
        with zipfile.ZipFile(Path(folder) / "m.keras") as file:
            return {name: file.read(name) for name in file.namelist()}


def packed(held, without=None):
    """Return a zip of these members."""
    body = io.BytesIO()
    with zipfile.ZipFile(body, "w") as file:
        for name, content in held.items():
            if name != without:
                file.writestr(name, content)
    return body.getvalue()


@pytest.fixture
def refused(action, given, put, tmp_path):
    """Give a function that returns what is said of a model's file: by planner and splitter, or by the trainer."""

    def said(body):
        try:
            text = refusal(action, {**given, "model": put("refused/model.keras", body)})
        except pytest.fail.Exception:
            text = by_trainer(body, tmp_path / "m.keras")
        assert "\n" not in text and len(text) < 500
        return text

    return said


def by_trainer(body, path):
    """Return what a trainer says that warms up for a model."""
    path.write_bytes(body)
    with pytest.raises(DlError) as error:
        Learner(path).train((np.zeros((4, 8, 8), np.uint8), np.zeros(4)), np.arange(4), np.array([0, 4]), 0, 1)
    return str(error.value)


@pytest.mark.parametrize("name", MODELS)
def test_a_model_that_cannot_be_trained(refused, tmp_path, name):
    build, sentence = MODELS[name]
    build().save(tmp_path / "refused.keras")
    assert sentence in refused((tmp_path / "refused.keras").read_bytes())


@pytest.mark.parametrize("name", FILES)
def test_a_file_that_is_no_model(refused, name):
    body, sentence = FILES[name]
    assert sentence in refused(body(parts(stacked())))


ADAPTED = {
    "words": (lambda: layers.TextVectorization(output_sequence_length=4), ["a b", "c"]),
    "towns": (layers.StringLookup, ["Bonn", "Ulm"]),
    "codes": (layers.IntegerLookup, [7, 9]),
    "bins": (lambda: layers.Discretization(num_bins=4), np.arange(9.0)),
    "scale": (layers.Normalization, np.arange(24.0).reshape(3, 8)),
    "given": (lambda: layers.Normalization(mean=0.0, variance=1.0), None),
    "vocabulary": (lambda: layers.StringLookup(vocabulary=["a"]), None),
}


@pytest.mark.parametrize("name", ADAPTED)
def test_what_was_adapted_is_taken(tmp_path, name):
    layer, examples = ADAPTED[name]
    made = layer()
    if examples is not None:
        made.adapt(examples)
    model = keras.Sequential([keras.Input((8,), dtype=made_for(made)), made])
    model.compile("sgd", "mse")
    model.save(tmp_path / "m.keras")
    keras_file.read(tmp_path / "m.keras", "m")
    assert keras_memory.read(tmp_path / "m.keras") is None or name == "scale"


def made_for(layer):
    """Return the dtype of what a layer takes."""
    if isinstance(layer, layers.StringLookup | layers.TextVectorization):
        return "string"
    return "int64" if isinstance(layer, layers.IntegerLookup) else "float32"
