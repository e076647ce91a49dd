"""Cells of Arrow's arrays, as Parquet and Arrow files hold them; used by their readers."""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Any

import numpy as np
import pyarrow
import pyarrow.types as types
from numpy.typing import NDArray

from common.data.rows import BATCH_BYTES, TEXT, Cells, Column
from common.errors import DatasetError, plain

LISTS = (types.is_list, types.is_large_list, types.is_fixed_size_list)
TEXT_BYTES = 512  # of a cell, as objects take, and texts repeated that the file holds once


def read_cells(
    batches: Iterable[Sequence[Any]], wanted: Sequence[Column], reading: Callable[[], AbstractContextManager[None]]
) -> Iterator[list[Cells]]:
    """Yield the cells of columns, BATCH_BYTES at a time; each batch is taken apart inside of `reading`."""
    widths = [
        TEXT_BYTES if one.dtype == TEXT else math.prod(one.shape) * np.dtype(one.dtype).itemsize for one in wanted
    ]
    count, row = max(1, BATCH_BYTES // max(1, sum(widths))), 1
    for batch in batches:
        for start in range(0, len(batch[0]), count):
            with reading():
                found = [
                    cells(array[start : start + count], one, row) for array, one in zip(batch, wanted, strict=True)
                ]
            yield found
            row += len(found[0].missing)
        del batch  # before the next one is read


def cells(array: Any, found: Column, first: int) -> Cells:
    """Return a batch's cells of a column, from row `first` on; NaN is missing as null is."""
    if types.is_dictionary(array.type):
        array = array.dictionary_decode()
    if types.is_struct(array.type):
        return images(array, found, first)
    if isinstance(array.type, pyarrow.BaseExtensionType):
        array = array.storage
    missing: NDArray[np.bool_] = array.is_null().to_numpy(zero_copy_only=False)
    if found.dtype == TEXT:
        texts = array.cast(pyarrow.string()).fill_null("")
        return Cells(texts.to_numpy(zero_copy_only=False), missing)
    if found.shape:
        return lists(array, found, missing, first)
    if types.is_decimal(array.type):
        array = array.cast(pyarrow.float64())
    values = array.fill_null(False if found.dtype == "|b1" else 0).to_numpy(zero_copy_only=False)
    if values.dtype.kind == "f":
        missing = missing | np.isnan(values)
    return Cells(np.where(missing, 0, values).astype(values.dtype) if values.dtype.kind == "f" else values, missing)


def lists(array: Any, found: Column, missing: NDArray[np.bool_], first: int) -> Cells:
    """Return a batch's lists as one array `(rows, *shape)`."""
    held = array.drop_null()
    while any(is_list(held.type) for is_list in LISTS):
        held = held.flatten()
    if held.null_count:
        inside = int(np.flatnonzero(held.is_null().to_numpy(zero_copy_only=False))[0]) // math.prod(found.shape)
        row = first + int(np.flatnonzero(~missing)[inside])
        raise DatasetError(
            f"column {plain(found.name)}, row {row}: got a list with a value missing, expected numbers in all"
        )
    if types.is_dictionary(held.type):
        held = held.dictionary_decode()
    if types.is_decimal(held.type):
        held = held.cast(pyarrow.float64())
    values = np.zeros((len(missing), *found.shape), found.dtype)
    values[~missing] = held.to_numpy(zero_copy_only=False).reshape(-1, *found.shape)
    return Cells(values, missing)


def images(array: Any, found: Column, first: int) -> Cells:
    """Return a batch's images `(rows, height, width, channels)`."""
    from common.data.images.picture import decode

    bodies = bodies_of(array)
    missing = np.array([not body.is_valid for body in bodies], np.bool_)
    values = np.zeros((len(bodies), *found.shape), np.uint8)
    for row in np.flatnonzero(~missing):
        where = f"column {plain(found.name)}, row {first + row}"
        values[row] = decode(bodies[int(row)].as_py(), where, channels=found.shape[2])
    return Cells(values, missing)


def bodies_of(array: Any) -> Any:
    """Return the files of a batch's images."""
    return array.flatten()[array.type.get_field_index("bytes")]
