"""What users hold in place of an .npz or a `.keras` file: the lines of Python that an error gives them are run."""

import contextlib
import json
import pickle
import re
import zipfile
from pathlib import Path

import h5py
import keras
import numpy as np
import pytest
import tensorflow as tf

from common.data import formats
from common.errors import ModelError
from common.plan import keras_file

X, Y = np.arange(12, dtype=np.float32).reshape(4, 3), np.array([0, 2, 1, 0])


def lines_of(text):
    """Return the lines of Python that end a sentence; there is no line break in it."""
    assert "\n" not in text and len(text) < 400
    return re.search(r"(?:: |; )(import .*|model\.\w+\(.*)$", text)[1]


def run(text, folder, **names):
    """Run the lines in a folder; return what they saved."""
    with contextlib.chdir(folder):
        exec(lines_of(text), names)
        return np.load("d.npz") if Path("d.npz").exists() else None


def network():
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(3)])
    model.compile("sgd", "mse")
    return model


def test_hdf5(tmp_path):
    with h5py.File(tmp_path / "d.h5", "w") as file:
        file["x"], file["y"] = X, Y
    found = run(formats.of_dataset((tmp_path / "d.h5").read_bytes(), "d.h5"), tmp_path)
    np.testing.assert_array_equal(found["x"], X)


def test_records(tmp_path):
    def feature(values):
        return tf.train.Feature(float_list=tf.train.FloatList(value=values))

    with tf.io.TFRecordWriter(str(tmp_path / "d.tfrecord")) as file:
        for x, y in zip(X, Y, strict=True):
            label = tf.train.Feature(int64_list=tf.train.Int64List(value=[y]))
            features = tf.train.Features(feature={"x": feature(x), "y": label})
            file.write(tf.train.Example(features=features).SerializeToString())
    found = run(formats.of_dataset((tmp_path / "d.tfrecord").read_bytes(), "d.tfrecord"), tmp_path)
    np.testing.assert_array_equal(found["x"], X)
    np.testing.assert_array_equal(found["y"], Y[:, None])


def test_a_pickle(tmp_path):
    (tmp_path / "d.pkl").write_bytes(pickle.dumps((X, Y)))
    found = run(formats.of_dataset((tmp_path / "d.pkl").read_bytes(), "d.pkl"), tmp_path)
    np.testing.assert_array_equal(found["y"], Y)


@pytest.mark.parametrize("indent", [None, 1])
def test_an_array_of_json(tmp_path, indent):
    rows = [{"a": 1, "label": 2}, {"a": 3, "label": 4}]
    (tmp_path / "d.json").write_text(json.dumps(rows, indent=indent))
    run(formats.of_dataset((tmp_path / "d.json").read_bytes(), "d.json"), tmp_path)
    assert [json.loads(line) for line in (tmp_path / "d.jsonl").read_text().splitlines()] == rows


def test_an_excel_file():
    told = formats.excel("b/t.xlsx")
    assert told.endswith("import pandas; pandas.read_excel('t.xlsx').to_csv('d.csv', index=False)")


def test_a_loose_image(tmp_path):
    (tmp_path / "folder" / "cats").mkdir(parents=True)
    (tmp_path / "folder" / "cats" / "1.png").write_bytes(b"x")
    run(formats.of_dataset(b"\x89PNG\r\n", "1.png"), tmp_path)
    with zipfile.ZipFile(tmp_path / "d.zip") as file:
        assert "cats/1.png" in file.namelist()


@pytest.mark.parametrize("head", [b"\x00\xff,\n,,", b"\x01" * 40, b"text"])
def test_what_nothing_is_known_of(head):
    assert formats.of_dataset(head, "noise") is None


def refused(path):
    with pytest.raises(ModelError) as error:
        keras_file.read(path, f"s3://b/models/{path.name}")
    assert str(error.value).startswith(f"model: s3://b/models/{path.name}: got ")
    return str(error.value)


@pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5 file")
def test_an_hdf5_model(tmp_path):
    network().save(tmp_path / "m.h5")
    run(refused(tmp_path / "m.h5"), tmp_path)
    assert keras_file.read(tmp_path / "m.keras", "m").outputs[0].loss == "mean_squared_error"


def test_weights_alone(tmp_path):
    network().save_weights(tmp_path / "m.weights.h5")
    run(refused(tmp_path / "m.weights.h5"), tmp_path, model=network())
    assert keras_file.read(tmp_path / "m.keras", "m").outputs[0].loss == "mean_squared_error"


def test_a_models_json(tmp_path):
    (tmp_path / "m.json").write_text(network().to_json())
    run(refused(tmp_path / "m.json"), tmp_path)
    assert keras_file.read(tmp_path / "m.keras", "m").outputs[0].loss == "mean_squared_error"


@pytest.mark.parametrize("name", ["m/saved_model.pb", "archive/data.pkl"])
def test_a_zip_of_another_format(tmp_path, name):
    with zipfile.ZipFile(tmp_path / "m.zip", "w") as file:
        file.writestr(name, b"")
    run(refused(tmp_path / "m.zip"), tmp_path, model=network())
    assert keras_file.read(tmp_path / "m.keras", "m")


def test_a_saved_model_in_parts():
    told = formats.of_folder("model", ["m/saved_model.pb", "m/variables/variables.index"])
    assert told.startswith("got a TensorFlow SavedModel, expected a compiled .keras file") and lines_of(told)
    assert formats.of_model(b"\x08\x01", "m/saved_model.pb", False) == told
