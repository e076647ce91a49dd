"""Columns of Arrow's types, as Parquet and Arrow files hold them; used by their readers."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow
import pyarrow.compute as compute
import pyarrow.types as types

from common.data.rows import TEXT, Column
from common.data.tables.arrow_cells import LISTS, bodies_of
from common.errors import DatasetError, plain

SCHEMA_COLUMNS = 10_000
IMAGE_FIELDS = {"bytes", "path"}  # by which Hugging Face stores an image
TEXTS = (types.is_string, types.is_large_string, types.is_string_view)
Shape = tuple[int, ...] | str  # or why there is none


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
        permuted = kind.permutation is not None and [*kind.permutation] != [*range(len(kind.shape))]
        odd = form(kind.value_type).unusable or ("tensors with their axes permuted" if permuted else "")
        return Form(form(kind.value_type).dtype, tuple(kind.shape), odd)
    if types.is_dictionary(kind):
        inner = form(kind.value_type)
        return Form(inner.dtype, unusable=inner.unusable or (f"values of type {kind}" if inner.lengths else ""))
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
    if not 0 < len(schema) <= SCHEMA_COLUMNS:
        raise DatasetError(f"got {len(schema)} columns, expected 1..{SCHEMA_COLUMNS}")
    indices = (schema.pandas_metadata or {}).get("index_columns", [])
    names = [name for name in schema.names if not name.startswith("__index_level_") or name not in indices]
    if twice := [name for name, count in Counter(names).items() if count > 1]:
        raise DatasetError(f"got two columns {plain(min(twice))}, expected a name of its own for each")
    if not names:
        raise DatasetError(f"got {len(schema)} columns of an index, expected others beside them")
    return names


def columns_of(
    schema: Any, names: Sequence[str], batches: Callable[[list[str]], Iterable[Sequence[Any]]]
) -> list[Column]:
    """Return the columns of a file; `batches` reads some of them, for the lengths of their lists."""
    forms = {name: form(schema.field(name).type) for name in names}
    unsure = [name for name in names if None in forms[name].lengths and not forms[name].unusable]
    found: dict[str, dict[Shape, int]] = {name: {} for name in unsure}
    row = 1
    for batch in batches(unsure) if unsure else ():
        for name, array in zip(unsure, batch, strict=True):
            look = image_shapes if forms[name].is_image else list_shapes
            for at, shape in look(array, forms[name], f"column {plain(name)}", row):
                if len(found[name]) < 2:  # one is right, and two are shown
                    found[name].setdefault(shape, at)
        row += len(batch[0])
    return [column(name, forms[name], found.get(name)) for name in names]


def column(name: str, found: Form, shapes: dict[Shape, int] | None) -> Column:
    """Return a column, of its type and of the shapes that its lists have (with the first row of each)."""
    if found.unusable:
        return Column(name, found.dtype, unusable=found.unusable)
    word = "images" if found.is_image else "lists"
    if shapes is None:
        known = tuple(length or 0 for length in found.lengths)
        return Column(name, found.dtype, known, "" if all(known) else f"{word} of {known}")
    for shape, row in shapes.items():
        if isinstance(shape, str):
            return Column(name, found.dtype, unusable=f"{word} {shape} (row {row})")
        if len(shapes) == 1 and all(shape):
            return Column(name, found.dtype, shape)
    several = " and ".join(f"{shape} (row {row})" for shape, row in shapes.items())
    return Column(name, found.dtype, unusable=f"{word} of {several}" if shapes else "no value in any row")


def list_shapes(array: Any, found: Form, _: str, first: int) -> Iterable[tuple[int, Shape]]:
    """Yield the shapes of a batch's lists, or what is wrong with one, each with the first row of it."""
    rows = first + np.flatnonzero(array.is_valid().to_numpy(zero_copy_only=False))
    held, lengths = array.drop_null(), np.zeros((len(rows), len(found.lengths)), np.int64)
    for axis in range(len(found.lengths) if len(rows) else 0):
        each = compute.list_value_length(held).to_numpy(zero_copy_only=False).reshape(len(rows), -1)
        if each.shape[1] and (uneven := (each != each[:, :1]).any(axis=1)).any():
            yield int(rows[np.argmax(uneven)]), "with lists of several lengths in one value"
            return
        lengths[:, axis] = each[:, 0] if each.shape[1] else 0
        held = held.flatten()
        if held.null_count:
            missing = np.flatnonzero(held.is_null().to_numpy(zero_copy_only=False))[0]
            numbers = np.cumsum(lengths[:, : axis + 1].prod(axis=1))
            yield int(rows[np.searchsorted(numbers, missing, side="right")]), "with a value missing inside"
            return
        if len(np.unique(lengths[:, axis])) > 1:  # what is inside cannot be told apart
            lengths = lengths[:, : axis + 1]
            break
    for shape in np.unique(lengths, axis=0):
        yield int(rows[np.argmax((lengths == shape).all(axis=1))]), tuple(int(length) for length in shape)


def image_shapes(array: Any, _: Form, place: str, first: int) -> Iterable[tuple[int, Shape]]:
    """Yield the shapes of a batch's images, each with its row."""
    from common.data.images.picture import shape_of

    for row, body in enumerate(bodies_of(array), first):
        if body.is_valid:
            yield row, shape_of(body.as_py(), f"{place}, row {row}")
