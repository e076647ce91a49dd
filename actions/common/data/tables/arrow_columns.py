"""Columns and cells of Arrow's types, as Parquet and Arrow files hold them; used by their readers."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow
import pyarrow.compute as compute
import pyarrow.types as types
from numpy.typing import NDArray

from common.data.rows import TEXT, Cells, Column
from common.errors import DatasetError

SCHEMA_COLUMNS = 10_000
IMAGE_FIELDS = {"bytes", "path"}  # by which Hugging Face stores an image
TEXTS = (types.is_string, types.is_large_string, types.is_string_view)
LISTS = (types.is_list, types.is_large_list, types.is_fixed_size_list)


@dataclass(frozen=True)
class Form:
    """What a column's type says: its dtype, and the lengths of its lists, None where each has its own."""

    dtype: str
    lengths: tuple[int | None, ...] = ()
    unusable: str = ""
    is_image: bool = False


def form(kind: Any) -> Form:
    """Return what an Arrow type is to a model."""
    if isinstance(kind, pyarrow.FixedShapeTensorType):
        return Form(form(kind.value_type).dtype, tuple(kind.shape), form(kind.value_type).unusable)
    if types.is_dictionary(kind):
        return form(kind.value_type)
    if any(is_list(kind) for is_list in LISTS):
        inner = form(kind.value_type)
        length = kind.list_size if types.is_fixed_size_list(kind) else None
        odd = inner.unusable or ("texts" if inner.dtype == TEXT else "images" if inner.is_image else "")
        return Form(inner.dtype, (length, *inner.lengths), f"lists of {odd}" if odd else "")
    if any(is_text(kind) for is_text in TEXTS):
        return Form(TEXT)
    if types.is_decimal(kind):
        return Form("<f8")
    if types.is_integer(kind) or types.is_floating(kind) or types.is_boolean(kind):
        return Form(np.dtype(kind.to_pandas_dtype()).str)
    if types.is_struct(kind) and {field.name for field in kind} == IMAGE_FIELDS:
        return Form("|u1", (None, None, None), is_image=True)
    return Form("<f8", unusable=f"values of type {kind}")


def names_of(schema: Any) -> list[str]:
    """Return the columns' names, without those that pandas made of an index; DatasetError for a name twice, or none."""
    indices = (schema.pandas_metadata or {}).get("index_columns", [])
    names = [name for name in schema.names if name not in indices or not name.startswith("__index_level_")]
    if twice := {name for name in names if names.count(name) > 1}:
        raise DatasetError(f"got two columns {min(twice)}, expected a name of its own for each")
    if not 0 < len(names) <= SCHEMA_COLUMNS:
        raise DatasetError(f"got {len(names)} columns, expected 1..{SCHEMA_COLUMNS}")
    return names


def columns_of(
    schema: Any, names: Sequence[str], batches: Callable[[list[str]], Iterable[Sequence[Any]]]
) -> list[Column]:
    """Return the columns of a file; `batches` reads some of them, for the lengths of their lists."""
    forms = {name: form(schema.field(name).type) for name in names}
    unsure = [name for name in names if None in forms[name].lengths and not forms[name].unusable]
    shapes: dict[str, dict[tuple[int, ...], int]] = {name: {} for name in unsure}
    row = 1
    for batch in batches(unsure) if unsure else ():
        for name, array in zip(unsure, batch, strict=True):
            look = image_shapes if forms[name].is_image else list_shapes
            for at, shape in look(array, forms[name], f"column {name}", row):
                shapes[name].setdefault(shape, at)
        row += len(batch[0])
    return [column(name, forms[name], shapes.get(name)) for name in names]


def column(name: str, found: Form, shapes: dict[tuple[int, ...], int] | None) -> Column:
    """Return a column, of its type and of the shapes that its lists have (with the first row of each)."""
    if found.unusable or shapes is None:
        return Column(name, found.dtype, tuple(length or 0 for length in found.lengths), found.unusable)
    if len(shapes) == 1 and all(shape := next(iter(shapes))):
        return Column(name, found.dtype, shape)
    several = " and ".join(f"{shape} (row {row})" for shape, row in list(shapes.items())[:2])
    word = "images" if found.is_image else "lists"
    return Column(name, found.dtype, unusable=f"{word} of {several}" if shapes else "no value in any row")


def list_shapes(array: Any, found: Form, place: str, first: int) -> Iterable[tuple[int, tuple[int, ...]]]:
    """Yield the shapes of a batch's lists, each with the row of the first one that has it."""
    held = array.drop_null()
    if not len(held):
        return
    rows = first + np.flatnonzero(array.is_valid().to_numpy(zero_copy_only=False))
    lengths = np.zeros((len(held), len(found.lengths)), np.int64)
    for axis in range(len(found.lengths)):
        sizes = compute.list_value_length(held).to_numpy(zero_copy_only=False)
        each = sizes.reshape(len(lengths), -1)
        if len(held) and each.shape[1] and (each != each[:, :1]).any():
            row = int(np.argmax((each != each[:, :1]).any(axis=1)))
            raise DatasetError(f"{place}, row {rows[row]}: got lists of several lengths in one value, expected one")
        lengths[:, axis] = each[:, 0] if each.shape[1] else 0
        held = held.flatten()
        if held.null_count:
            raise DatasetError(f"{place}: got a missing value inside of a list, expected numbers in all")
        if len(np.unique(lengths[:, axis])) > 1:
            break  # several lengths: what is inside cannot be told apart
    for shape in np.unique(lengths, axis=0):
        yield int(rows[np.argmax((lengths == shape).all(axis=1))]), tuple(int(length) for length in shape)


def image_shapes(array: Any, _: Form, place: str, first: int) -> Iterable[tuple[int, tuple[int, ...]]]:
    """Yield the shapes of a batch's images, each with its row."""
    from common.data.images.picture import shape_of

    for row, body in enumerate(array.field("bytes"), first):
        if body.is_valid:
            yield row, shape_of(body.as_py(), f"{place}, row {row}")


def cells(array: Any, found: Column, first: int) -> Cells:
    """Return a batch's cells of a column, from row `first` on; NaN is missing as null is."""
    kind = array.type
    if types.is_dictionary(kind):
        array = array.dictionary_decode()
    if types.is_struct(kind):
        return images(array, found, first)
    if isinstance(kind, pyarrow.BaseExtensionType):
        array = array.storage
    missing: NDArray[np.bool_] = array.is_null().to_numpy(zero_copy_only=False)
    if found.dtype == TEXT:
        texts = array.cast(pyarrow.string()).fill_null("")
        return Cells(texts.to_numpy(zero_copy_only=False), missing)
    if found.shape:
        return lists(array, found, missing)
    if types.is_decimal(array.type):
        array = array.cast(pyarrow.float64())
    values = array.fill_null(False if found.dtype == "|b1" else 0).to_numpy(zero_copy_only=False)
    if values.dtype.kind == "f":
        missing = missing | np.isnan(values)
    return Cells(np.where(missing, 0, values).astype(values.dtype) if values.dtype.kind == "f" else values, missing)


def lists(array: Any, found: Column, missing: NDArray[np.bool_]) -> Cells:
    """Return a batch's lists as one array `(rows, *shape)`."""
    held = array.drop_null()
    while any(is_list(held.type) for is_list in LISTS):
        held = held.flatten()
    if held.null_count:
        raise DatasetError(f"column {found.name}: got a missing value inside of a list, expected numbers in all")
    if types.is_decimal(held.type):
        held = held.cast(pyarrow.float64())
    numbers = held.to_numpy(zero_copy_only=False)
    values = np.zeros((len(missing), *found.shape), numbers.dtype)
    values[~missing] = numbers.reshape(-1, *found.shape)
    return Cells(values, missing)


def images(array: Any, found: Column, first: int) -> Cells:
    """Return a batch's images `(rows, height, width, channels)`."""
    from common.data.images.picture import decode

    bodies = array.field("bytes")
    missing = np.array([not body.is_valid for body in bodies], np.bool_)
    values = np.zeros((len(bodies), *found.shape), np.uint8)
    for row in np.flatnonzero(~missing):
        where = f"column {found.name}, row {first + row}"
        values[row] = decode(bodies[int(row)].as_py(), where, channels=found.shape[2])
    return Cells(values, missing)
