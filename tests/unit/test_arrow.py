"""Parquet, Arrow files and streams: what each column is, and every cell, as the libraries wrote it."""

import contextlib
import datetime
import decimal
import io
import random

import numpy as np
import pandas
import pyarrow
import pytest
from PIL import Image
from pyarrow import parquet as pyarrow_parquet
from tests.cells import cells

from common.data.rows import TEXT, Column
from common.data.tables import ipc, parquet
from common.errors import DatasetError


def as_parquet(table, **form):
    file = io.BytesIO()
    pyarrow_parquet.write_table(table, file, **form)
    return file.getvalue()


def as_file(table, **form):
    file = io.BytesIO()
    with pyarrow.ipc.new_file(file, table.schema) as writer:
        writer.write_table(table, **form)
    return file.getvalue()


def as_stream(table, **form):
    file = io.BytesIO()
    with pyarrow.ipc.new_stream(file, table.schema) as writer:
        writer.write_table(table, **form)
    return file.getvalue()


def opened(body):
    reader = parquet if parquet.is_own(body[:4096]) else ipc
    assert reader.is_own(body[:4096])
    return reader.open_file(lambda: io.BytesIO(body))


WRITERS = [as_parquet, as_file, as_stream]


def png(array, mode=None):
    file = io.BytesIO()
    Image.fromarray(array, mode).save(file, "png")
    return file.getvalue()


PICTURES = [np.arange(18, dtype=np.uint8).reshape(2, 3, 3) * (k + 1) for k in range(3)]
IMAGES = pyarrow.array([{"bytes": png(one), "path": "a.png"} for one in PICTURES])
TENSORS = pyarrow.FixedShapeTensorArray.from_numpy_ndarray(np.arange(12.0).reshape(3, 2, 2))
FIXED = pyarrow.FixedSizeListArray.from_arrays(pyarrow.array(range(6)), 2)
D = decimal.Decimal
VALUES = [
    (pyarrow.array([1, -2, 3], pyarrow.int8()), Column("a", "|i1"), [1, -2, 3]),
    (pyarrow.array([1, 2, 2**64 - 1], pyarrow.uint64()), Column("a", "<u8"), [1, 2, 2**64 - 1]),
    (pyarrow.array([0.5, 1, 2], pyarrow.float16()), Column("a", "<f2"), [0.5, 1, 2]),
    (pyarrow.array([0.5, 1, 2], pyarrow.float32()), Column("a", "<f4"), [0.5, 1, 2]),
    (pyarrow.array([D("0.50"), D("1.25"), D("2.00")]), Column("a", "<f8"), [0.5, 1.25, 2]),
    (pyarrow.array([True, False, True]), Column("a", "|b1"), [True, False, True]),
    (pyarrow.array(["x", "ü", ""]), Column("a", TEXT), ["x", "ü", ""]),
    (pyarrow.array(["x", "y", "x"], pyarrow.large_string()), Column("a", TEXT), ["x", "y", "x"]),
    (pyarrow.array(["x", "y", "x"]).dictionary_encode(), Column("a", TEXT), ["x", "y", "x"]),
    (pyarrow.array([[1, 2], [3, 4], [5, 6]]), Column("a", "<i8", (2,)), [[1, 2], [3, 4], [5, 6]]),
    (
        pyarrow.array([[[1.5], [2]], [[3], [4]], [[5], [6]]], pyarrow.large_list(pyarrow.list_(pyarrow.float32()))),
        Column("a", "<f4", (2, 1)),
        [[[1.5], [2]], [[3], [4]], [[5], [6]]],
    ),
    (pyarrow.array([1.5, 2, 1.5]).dictionary_encode(), Column("a", "<f8"), [1.5, 2, 1.5]),
    (pyarrow.array([[D("0.5")], [D("1.5")], [D("2.5")]]), Column("a", "<f8", (1,)), [[0.5], [1.5], [2.5]]),
    (FIXED, Column("a", "<i8", (2,)), [[0, 1], [2, 3], [4, 5]]),
    (TENSORS, Column("a", "<f8", (2, 2)), np.arange(12.0).reshape(3, 2, 2).tolist()),
    (IMAGES, Column("a", "|u1", (2, 3, 3)), [one.tolist() for one in PICTURES]),
]  # fmt: skip


@pytest.mark.parametrize("write", WRITERS)
@pytest.mark.parametrize(("array", "column", "expected"), VALUES, ids=range(len(VALUES)))
def test_what_a_column_is_and_holds(write, array, column, expected):
    found = opened(write(pyarrow.table({"a": array, "k": [7, 8, 9]})))
    assert list(found.columns) == [column, Column("k", "<i8")] and found.rows == 3
    (values, missing), (others, _) = cells(found, "a", "k")
    assert values.tolist() == expected and not missing.any() and others.tolist() == [7, 8, 9]
    assert column.dtype == TEXT or values.dtype.str == column.dtype


UNLIKE = pyarrow.array([{"bytes": png(np.zeros((k, 2), np.uint8)), "path": ""} for k in (1, 2, 2)])
PERMUTED = pyarrow.ExtensionArray.from_storage(
    pyarrow.fixed_shape_tensor(pyarrow.int64(), [1, 2], permutation=[1, 0]),
    pyarrow.FixedSizeListArray.from_arrays(pyarrow.array(range(6)), 2),
)
DAY = datetime.date(2026, 1, 2)
USELESS = [
    (pyarrow.array([DAY] * 3), "values of type date32[day]"),
    (pyarrow.array([b"x", b"y", b"z"]), "values of type binary"),
    (pyarrow.array([{"b": 1}] * 3), "values of type struct<b: int64>"),
    (pyarrow.array([["x"], ["y"], ["z"]]), "lists of texts"),
    (pyarrow.array([[1, 2], [3], [4, 5]]), "lists of (1,) (row 2) and (2,) (row 1)"),
    (pyarrow.array([None, None, None], pyarrow.list_(pyarrow.int64())), "no value in any row"),
    (pyarrow.array([[1, 2], None, [3, None]]), "lists with a value missing inside (row 3)"),
    (pyarrow.array([[[1], [2]], [[1], [2, 3]], None]), "lists with lists of several lengths in one value (row 2)"),
    (pyarrow.array([[], [], []], pyarrow.list_(pyarrow.int64())), "lists of (0,) (row 1)"),
    (pyarrow.array([[], [], []], pyarrow.list_(pyarrow.int64(), 0)), "lists of (0,)"),
    (pyarrow.array([None] * 3), "values of type null"),
    (pyarrow.array([[[1], [2]], [[1], [2], [3]], None]), "lists of (2,) (row 1) and (3,) (row 2)"),
    (PERMUTED, "tensors with their axes permuted"),
    (UNLIKE, "images of (1, 2, 1) (row 1) and (2, 2, 1) (row 2)"),
]  # fmt: skip


@pytest.mark.parametrize("write", WRITERS)
@pytest.mark.parametrize(("array", "unusable"), USELESS, ids=range(len(USELESS)))
def test_what_no_model_takes_is_named(write, array, unusable):
    found = opened(write(pyarrow.table({"a": array, "k": [7, 8, 9]})))
    assert found.columns[0].unusable == unusable and cells(found, "k")[0][0].tolist() == [7, 8, 9]


@pytest.mark.parametrize("write", WRITERS)
def test_what_is_missing(write):
    arrays = {"a": [1, None, 3], "b": [0.5, float("nan"), None], "c": ["x", None, "z"], "d": [[1, 2], None, [3, 4]]}
    found = opened(write(pyarrow.table({**arrays, "e": [True, None, False]})))
    expected = {
        "a": ([1, 0, 3], [False, True, False]),
        "b": ([0.5, 0, 0], [False, True, True]),
        "c": (["x", "", "z"], [False, True, False]),
        "d": ([[1, 2], [0, 0], [3, 4]], [False, True, False]),
        "e": ([True, False, False], [False, True, False]),
    }
    for (values, missing), (name, (held, lacking)) in zip(cells(found, *expected), expected.items(), strict=True):
        assert (values.tolist(), missing.tolist()) == (held, lacking), name


def test_many_batches_and_row_groups_are_read_in_order():
    random_ = np.random.default_rng(3)
    frame = pandas.DataFrame(random_.normal(size=(1000, 3)), columns=list("abc")).assign(d=random_.integers(0, 9, 1000))
    table = pyarrow.Table.from_pandas(frame)
    bodies = [as_parquet(table, row_group_size=70, compression=c) for c in ("none", "snappy", "gzip", "zstd", "brotli")]
    for body in [*bodies, as_file(table, max_chunksize=70), as_stream(table, max_chunksize=33)]:
        for name, (values, _) in zip("dab", cells(opened(body), "d", "a", "b"), strict=True):
            np.testing.assert_array_equal(values, frame[name])


def test_pandas_index_is_no_column():
    frame = pandas.DataFrame({"a": [1, 2, 3]})[lambda held: held.a != 2]
    body = io.BytesIO()
    frame.to_parquet(body)
    assert [column.name for column in opened(body.getvalue()).columns] == ["a"]


def twice():
    return pyarrow.Table.from_arrays([pyarrow.array([1]), pyarrow.array([2])], names=["a", "a"])


LACKING = pyarrow.array([[1, 2], None, [3, None]], pyarrow.list_(pyarrow.int64(), 2))


def of(values):
    return as_parquet(pyarrow.table({"a": values}))


REFUSED = [
    (as_parquet(pyarrow.table({"a": pyarrow.array([], pyarrow.int64())})), "got no row, expected at least one"),
    (as_file(pyarrow.table({"a": pyarrow.array([], pyarrow.int64())})), "got no row, expected at least one"),
    (as_stream(twice()), "got two columns a, expected a name of its own for each"),
    (of(LACKING), "column a, row 3: got a list with a value missing, expected numbers in all"),
    (of([{"bytes": b"x", "path": ""}]), "column a, row 1: got no image (cannot identify image file"),
    (as_parquet(pyarrow.table({"a": [1]}))[:-9], "got damaged Parquet ("),
    (as_file(pyarrow.table({"a": [1]}))[:-9], "got damaged Arrow ("),
    (as_stream(pyarrow.table({"a": range(100)}))[:300], "got damaged Arrow ("),
]  # fmt: skip


@pytest.mark.parametrize(("body", "start"), REFUSED, ids=range(len(REFUSED)))
def test_a_refusal(body, start):
    with pytest.raises(DatasetError) as error:
        list(opened(body).batches(["a"]))
    assert str(error.value).startswith(start) and "\n" not in str(error.value) and len(str(error.value)) < 300


@pytest.mark.parametrize("write", WRITERS)
@pytest.mark.parametrize("seed", range(4))
def test_a_damaged_file_gives_rows_or_a_sentence(write, seed):
    generator = random.Random(seed)
    body = write(pyarrow.table({"a": range(50), "b": [f"x{k}" for k in range(50)], "c": [[k, k] for k in range(50)]}))
    for _ in range(60):
        damaged = bytearray(body)
        for _ in range(generator.randint(1, 5)):
            damaged[generator.randrange(4, len(damaged))] = generator.randrange(256)
        with contextlib.suppress(DatasetError):
            found = opened(bytes(damaged))
            usable = [column.name for column in found.columns if not column.unusable]
            list(found.batches(usable))
