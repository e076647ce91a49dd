"""A `.keras` file that breaks Keras is told in one sentence; one model saved by two lanes has the same bytes."""

import json
import zipfile

import keras
import numpy as np
import pytest
from keras import layers

from common.errors import ModelError
from common.training import loading
from common.training.model import Learner


@pytest.fixture(scope="module")
def held(tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "m.keras"
    keras.utils.set_random_seed(1)
    model = keras.Sequential([keras.Input((8,)), keras.layers.Dense(6, name="d"), keras.layers.Dense(3, name="answer")])
    model.compile("sgd", "mse")
    model.save(path)
    with zipfile.ZipFile(path) as file:
        return {name: file.read(name) for name in file.namelist()}


def changed(**values):
    """Return what makes a configuration with other values for its last layer."""

    def make(body):
        config = json.loads(body)
        config["config"]["layers"][-1] |= values
        return json.dumps(config).encode()

    return make


@pytest.mark.parametrize(
    ("name", "change", "words"),
    [
        ("model.weights.h5", lambda body: b"", "model.weights.h5 is damaged"),
        ("model.weights.h5", lambda body: b"\x89HDF" + bytes(200), "model.weights.h5 is damaged"),
        ("model.weights.h5", lambda body: body[:2000], ""),
        ("model.weights.h5", lambda body: body.replace(b"TREE", b"EERT"), ""),
        ("config.json", lambda body: b"nope", ""),
        ("config.json", changed(config=True), ""),
        ("config.json", changed(config={"name": "answer", "units": 3, "dtype": "nope"}), ""),
        ("config.json", changed(config={"name": "answer", "units": 4}), ""),
        ("config.json", changed(build_config={"input_shape": []}), ""),
    ],
    ids=range(9),
)
def test_a_broken_file(tmp_path, held, name, change, words):
    body = change(held[name])
    assert body != held[name]
    with zipfile.ZipFile(tmp_path / "m.keras", "w") as file:
        for other, whole in held.items():
            file.writestr(other, body if other == name else whole)
    with pytest.raises(ModelError) as error:
        loading.load(tmp_path / "m.keras", None)
    text = str(error.value)
    assert text.startswith(f"model: Keras cannot load it: {words}") and text.isprintable() and len(text) < 450


def recurrent(**given):
    return [layers.Embedding(20, 8), layers.GRU(6, **given)]


ALIKE = {
    "recurrent": lambda: recurrent(return_sequences=True),
    "both ways": lambda: [layers.Embedding(20, 8), layers.Bidirectional(layers.LSTM(4, dropout=0.1))],
    "stacked cells": lambda: [layers.Embedding(20, 8), layers.RNN([layers.LSTMCell(4), layers.GRUCell(3)])],
    "a shared regularizer": lambda: [
        layers.Embedding(20, 8),
        layers.Dense(4, kernel_regularizer=SHARED),
        layers.Flatten(),
    ],
    "attention": lambda: [layers.Embedding(20, 8), layers.SpatialDropout1D(0.1), layers.Conv1D(3, 2), layers.Flatten()],
    "nested": lambda: [layers.Embedding(20, 8), keras.Sequential(recurrent()[1:]), layers.BatchNormalization()],
}
SHARED = keras.regularizers.L2(0.01)


@pytest.mark.parametrize("body", ALIKE.values(), ids=list(ALIKE))
@pytest.mark.parametrize("rate", [0.01, keras.optimizers.schedules.CosineDecay(0.01, 10)], ids=["rate", "schedule"])
def test_one_model_saved_by_two_lanes_has_the_same_bytes_and_plain_keras_loads_it(tmp_path, body, rate):
    model = keras.Sequential([keras.Input((9,)), *body(), layers.Dense(3, "softmax")])
    model.compile(keras.optimizers.Adam(rate), "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.save(tmp_path / "m.keras")
    learners = [Learner(tmp_path / "m.keras") for _ in range(2)]  # both live: nothing lies at the same address
    x = np.arange(36).reshape(4, 9) % 20
    y = np.zeros((4, *learners[0].model.output_shape[1:-1]), int)
    tensors = learners[0].export_state()
    learners[1].train((x, y), np.arange(4), np.array([0, 4]), 0, 1)  # the one has trained, the other has not
    for number, learner in enumerate(learners):
        learner.import_state(tensors)
        learner.save(tmp_path / f"{number}.keras")
    assert (tmp_path / "0.keras").read_bytes() == (tmp_path / "1.keras").read_bytes()
    loaded = keras.models.load_model(tmp_path / "0.keras")
    np.testing.assert_array_equal(loaded.predict(x, verbose=0), learners[0].model.predict(x, verbose=0))


def test_an_optimizer_that_keras_cannot_make(tmp_path):
    model = keras.Sequential([keras.Input((3,)), layers.Dense(2)])
    model.compile("adam", "mse")
    model.save(tmp_path / "m.keras")
    odd = {"module": "keras.optimizers", "class_name": "SGD", "config": {"speed": 1}, "registered_name": None}
    with pytest.raises(ModelError) as error:
        Learner(tmp_path / "m.keras", optimizer=odd)
    assert str(error.value) == "optimizer: Keras cannot make SGD: Argument(s) not recognized: {'speed': 1}"
