"""examples/mnist: the data it makes without internet, the file it takes instead, and the model it writes."""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.datasets import load_digits

FOLDER = Path(__file__).parents[2] / "examples/mnist"
Arrays = dict[str, NDArray[np.uint8]]


def load(name: str) -> ModuleType:
    """Import a file of the example, which is no package."""
    spec = importlib.util.spec_from_file_location(f"mnist_{name}", FOLDER / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def run(name: str, target: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a file of the example without internet: its proxy's port is closed."""
    nowhere = {"HOME": str(target.parent), "https_proxy": "http://127.0.0.1:9"}
    return subprocess.run(
        [sys.executable, FOLDER / f"{name}.py", target],
        env={"PATH": os.environ["PATH"], **nowhere, **environment},
        check=False,
        capture_output=True,
        text=True,
    )


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("digits") / "digits.npz"
    result = run("data", target)
    assert json.loads(result.stdout) == {
        "dataset": "scikit-learn digits, scaled up and augmented",
        "path": str(target),
        "train": 30177,
        "test": 360,
    }
    assert "drawing digits: 28740 of 30177" in result.stderr
    return target


@pytest.fixture(scope="module")
def arrays(made: Path) -> Arrays:
    with np.load(made) as archive:
        return dict(archive)


def test_digits_have_the_form_of_mnist(arrays: Arrays) -> None:
    shapes = {name: (array.shape, array.dtype.name) for name, array in arrays.items()}
    assert shapes == {
        "x_train": ((30177, 28, 28), "uint8"),
        "y_train": ((30177,), "uint8"),
        "x_test": ((360, 28, 28), "uint8"),
        "y_test": ((360,), "uint8"),
    }
    assert (arrays["x_train"].min(), arrays["x_train"].max()) == (0, 255)
    assert (arrays["x_test"].min(), arrays["x_test"].max()) == (0, 255)


def test_classes_are_equally_split(arrays: Arrays) -> None:
    total = np.bincount(load_digits().target)
    test = np.bincount(arrays["y_test"])
    assert np.abs(test - total * 360 / 1797).max() < 1
    assert np.bincount(arrays["y_train"]).tolist() == (21 * (total - test)).tolist()


def test_no_test_image_was_trained_on(arrays: Arrays) -> None:
    drawn = load("data").drawn
    originals = {drawn(image, 0, (0, 0)).tobytes() for image in load_digits().images}
    test = {image.tobytes() for image in arrays["x_test"]}
    train = {image.tobytes() for image in arrays["x_train"]}
    assert (len(originals), len(test), len(originals & train)) == (1797, 360, 1437)
    assert originals - train == test


def test_digits_are_the_same_bytes_each_time(made: Path, arrays: Arrays) -> None:
    again = load("data").digits()._asdict()
    assert {name: array.tobytes() for name, array in again.items()} == {
        name: array.tobytes() for name, array in arrays.items()
    }
    np.savez_compressed(made.with_name("again.npz"), **again)
    assert made.with_name("again.npz").read_bytes() == made.read_bytes()


def npz(path: Path, names: list[str]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    arrays: dict[str, Any] = {name: np.arange(index + 1) for index, name in enumerate(names)}
    np.savez(path, **arrays)
    return path


def test_the_file_in_mnist_npz_is_taken_as_it_is(tmp_path: Path) -> None:
    source = npz(tmp_path / "source.npz", ["x_test", "x_train", "y_test", "y_train"])
    result = run("data", tmp_path / "target.npz", MNIST_NPZ=str(source))
    assert json.loads(result.stdout) == {
        "dataset": "MNIST",
        "path": str(tmp_path / "target.npz"),
        "train": 4,
        "test": 3,
    }
    assert (tmp_path / "target.npz").read_bytes() == source.read_bytes()


def test_a_wrong_file_in_mnist_npz_is_refused(tmp_path: Path) -> None:
    source = npz(tmp_path / "source.npz", ["x_train", "y_train"])
    result = run("data", tmp_path / "target.npz", MNIST_NPZ=str(source))
    expected = "got a file with ['x_train', 'y_train'], expected ['x_test', 'x_train', 'y_test', 'y_train']"
    assert result.stderr.splitlines()[-1] == f"ValueError: MNIST_NPZ: {expected}"
    assert not (tmp_path / "target.npz").exists()


def test_a_damaged_cache_is_no_mnist(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    npz(tmp_path / "datasets/mnist.npz", ["x_test", "x_train", "y_test", "y_train"])
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
    monkeypatch.delenv("MNIST_NPZ", raising=False)
    assert load("data").find_mnist() is None


def test_the_model_learns_the_digits(tmp_path: Path, arrays: Arrays) -> None:
    result = run("model", tmp_path / "cnn.keras")
    assert result.returncode == 0, result.stderr
    import keras

    keras.utils.set_random_seed(1)
    model = keras.saving.load_model(tmp_path / "cnn.keras", safe_mode=True)
    assert (model.count_params(), model.input_shape, model.optimizer.name) == (225034, (None, 28, 28), "adam")
    model.fit(arrays["x_train"], arrays["y_train"], batch_size=64, verbose=0)
    assert model.evaluate(arrays["x_test"], arrays["y_test"], verbose=0, return_dict=True)["accuracy"] > 0.97
