"""The rows of a dataset as shards hold them, every value checked; used by the splitter."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from common.data.arrays import Array, stored_dtype
from common.data.dataset import Dataset
from common.errors import DatasetError

Rows = dict[str, NDArray[Any]]  # of each array by the name that its file has, equally many


def checked_rows(
    dataset: Dataset, arrays: Mapping[str, Array], classes: Mapping[str, int], begin: int = 0
) -> Iterator[tuple[int, Rows]]:
    """Yield (first example, rows of arrays as stored) from one on; DatasetError at a value that cannot be trained on.

    `classes`: how many classes the labels may name, of those of the arrays that are class numbers.
    """
    first, dtypes = begin, {name: stored_dtype(array.dtype) for name, array in arrays.items()}
    for given in dataset.batches(list(arrays.values()), begin):
        with np.errstate(over="ignore"):  # what 32 bits do not hold becomes infinite, which is refused
            rows = {name: one.astype(dtypes[name], copy=False) for name, one in zip(arrays, given, strict=True)}
        for name, held in rows.items():
            if held.dtype.kind == "f":
                check_finite(arrays[name].name, held, first)
        for name in rows.keys() & classes.keys():
            check_classes(arrays[name].name, rows[name], classes[name])
        yield first, rows
        first += len(given[0])


def check_finite(name: str, rows: NDArray[Any], first: int) -> None:
    """Refuse NaN and infinity."""
    bad = ~np.isfinite(rows).reshape(len(rows), -1).all(axis=1)
    if bad.any():
        at = first + int(np.argmax(bad))
        raise DatasetError(f"{name}: example {at} got NaN or infinity, expected finite numbers")


def check_classes(name: str, rows: NDArray[Any], classes: int) -> None:
    """Refuse a class that the model has no output for, and what is no class."""
    if rows.dtype.kind == "f" and (broken := rows[rows % 1 != 0]).size:
        raise DatasetError(f"{name}: got the label {broken.flat[0]}, expected whole numbers, the classes")
    low, high = int(rows.min()), int(rows.max())
    if low < 0 or high >= classes:
        raise DatasetError(f"{name}: got labels {low}..{high}, expected 0..{classes - 1} as the model gives")
