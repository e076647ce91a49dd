"""A `.keras` file that Keras cannot load is told in one sentence, wherever Keras breaks over it."""

import json
import zipfile

import keras
import pytest

from common import loading
from common.errors import ModelError


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
