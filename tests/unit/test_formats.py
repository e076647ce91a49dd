"""What users hold in place of an .npz or a `.keras` file: the lines of Python that an error gives them are run."""

import contextlib
import re
import zipfile
from pathlib import Path

import h5py
import keras
import numpy as np
import pytest

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


@pytest.mark.parametrize(
    ("name", "body", "labels"),
    [
        ("d.csv", "a,b,c,label\n" + "\n".join(f"{x[0]},{x[1]},{x[2]},{y}" for x, y in zip(X, Y, strict=True)), Y),
        ("d.csv", "\n".join(f"{x[0]},{x[1]},{x[2]},{y}" for x, y in zip(X, Y, strict=True)) + "\n", Y),
        ("i.txt", "\n".join(f"{x[0]};{x[1]};{x[2]};{'abc'[y]}" for x, y in zip(X, Y, strict=True)), Y),
        ("i.tsv", "a\tb\tc\td\n" + "\n".join(f"{x[0]}\t{x[1]}\t{x[2]}\tk{y}" for x, y in zip(X, Y, strict=True)), Y),
    ],
)
def test_a_table(tmp_path, name, body, labels):
    (tmp_path / name).write_text(body)
    found = run(formats.of_dataset(body.encode()[: formats.HEAD_BYTES], f"data/{name}"), tmp_path)
    np.testing.assert_array_equal(found["x"], X)
    np.testing.assert_array_equal(found["y"], labels)


def test_a_long_table_whose_head_ends_anywhere():
    body = "\n".join(",".join(str(cell) for cell in range(700)) for _ in range(9)).encode()[: formats.HEAD_BYTES]
    assert formats.of_dataset(body, "wide.csv").startswith("got a table of text")
    assert formats.of_dataset(b"\x00\xff,\n,,", "noise") is None
    assert formats.of_dataset(b"", "empty") is None


def test_one_array(tmp_path):
    np.save(tmp_path / "x.npy", X)
    np.save(tmp_path / "labels.npy", Y)
    found = run(formats.of_dataset((tmp_path / "x.npy").read_bytes(), "x.npy"), tmp_path)
    np.testing.assert_array_equal(found["x"], X)
    np.testing.assert_array_equal(found["y"], Y)


def test_hdf5(tmp_path):
    with h5py.File(tmp_path / "d.h5", "w") as file:
        file["x"], file["y"] = X, Y
    found = run(formats.of_dataset((tmp_path / "d.h5").read_bytes(), "d.h5"), tmp_path)
    np.testing.assert_array_equal(found["x"], X)


def test_parquet():
    assert formats.of_dataset(b"PAR1\x15\x00", "b/d.parquet").startswith(
        "got a Parquet file, expected an .npz of x and"
    )


def test_arrays_of_other_names(tmp_path):
    np.savez(tmp_path / "old.npz", images=X, labels=Y, z=Y)
    found = run(formats.of_members(["images.npy", "labels.npy", "z.npy"], "b/old.npz"), tmp_path)
    np.testing.assert_array_equal(found["y"], Y)


@pytest.mark.parametrize("parameter", ["zip", "folder"])
def test_images(tmp_path, parameter):
    names = ["cats/1.png", "cats/2.png", "dogs/3.png"]
    for name in names:
        (tmp_path / "folder" / name).parent.mkdir(parents=True, exist_ok=True)
        image = keras.utils.array_to_img(np.full((64, 64, 3), int(name[5]), np.uint8), scale=False)
        image.save(tmp_path / "folder" / name)
    told = formats.of_members(names, "z.zip") if parameter == "zip" else formats.of_folder("dataset", names)
    found = run(told, tmp_path)
    assert found["x"].shape == (3, 64, 64, 3) and found["x"].dtype == np.uint8
    assert sorted(zip(found["x"][:, 0, 0, 0], found["y"], strict=True)) == [(1, 0), (2, 0), (3, 1)]


def refused(path):
    with pytest.raises(ModelError) as error:
        keras_file.read(path, f"s3://b/models/{path.name}")
    assert str(error.value).startswith(f"model: s3://b/models/{path.name}: got ")
    return str(error.value)


@pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5 file")
def test_an_hdf5_model(tmp_path):
    network().save(tmp_path / "m.h5")
    run(refused(tmp_path / "m.h5"), tmp_path)
    assert keras_file.read(tmp_path / "m.keras", "m").loss == "mean_squared_error"


def test_weights_alone(tmp_path):
    network().save_weights(tmp_path / "m.weights.h5")
    run(refused(tmp_path / "m.weights.h5"), tmp_path, model=network())
    assert keras_file.read(tmp_path / "m.keras", "m").loss == "mean_squared_error"


def test_a_models_json(tmp_path):
    (tmp_path / "m.json").write_text(network().to_json())
    run(refused(tmp_path / "m.json"), tmp_path)
    assert keras_file.read(tmp_path / "m.keras", "m").loss == "mean_squared_error"


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
