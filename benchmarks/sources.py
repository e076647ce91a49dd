"""The data sets of the measurements, from files that the environment names or Keras' own downloads; used by all."""

import os
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

ARRAYS = ("x_train", "y_train", "x_test", "y_test")
VARIABLES = {"mnist": "MNIST_NPZ", "cifar10": "CIFAR10_NPZ"}

Arrays = dict[str, NDArray[np.uint8]]


class SourceError(Exception):
    """A data set that cannot be had, in one sentence."""


def load(name: str) -> Arrays:
    """Return a data set's four arrays; labels flat."""
    named = os.environ.get(VARIABLES[name])
    arrays = read(Path(named), VARIABLES[name]) if named else download(name)
    return arrays | {array: arrays[array].ravel() for array in ("y_train", "y_test")}


def read(path: Path, variable: str) -> Arrays:
    """Read the file that a variable names."""
    try:
        with np.load(path) as file:
            return {array: file[array] for array in ARRAYS}
    except (OSError, KeyError, ValueError) as error:
        raise SourceError(f"{variable}: got {path} ({error}), expected an .npz with {', '.join(ARRAYS)}") from None


def download(name: str) -> Arrays:
    """Have Keras fetch a data set, or find it in its cache."""
    import keras

    module = getattr(keras.datasets, name)
    try:
        (x_train, y_train), (x_test, y_test) = module.load_data()
    except Exception as error:  # noqa: BLE001 - Keras wraps whatever its download met in a bare Exception
        raise SourceError(f"{name}: no download ({error}); set {VARIABLES[name]} to an .npz of it") from None
    return dict(zip(ARRAYS, (x_train, y_train, x_test, y_test), strict=True))


def shortened(arrays: Arrays, train: int, test: int) -> Arrays:
    """Return the first examples of each set."""
    return {name: array[: train if "train" in name else test] for name, array in arrays.items()}
