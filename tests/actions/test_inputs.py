"""Several inputs by name, and inputs of text: from every format the shards of the same arrays."""

import json

import keras
import numpy as np
import pandas
import pytest

from .conftest import npz, saved
from .test_bad_input import npy
from .test_datasets import X, Y, csv, feather, json_lines, parquet, pyarrow_parquet, shards, table
from .test_splitter import read, split

WORDS = np.array(["", "a", "Ä b", "北京 is far", "two words"])
TEXT = np.random.default_rng(3).choice(WORDS, (60, 2))
TEST_END = len("_test")


@pytest.fixture
def columns(given, put, tmp_path):
    """Give parameters of a run on a model whose inputs are called as the table's columns are."""
    body = saved(tmp_path / "m.keras", *(keras.Input((1,), name=name) for name in ("wide", "high", "long")))
    return {**given, "model": put("inputs/columns.keras", body)}


def arrays(s3, at, inputs, workers=3, test="test"):
    """Return the arrays of shards and test set by their keys."""
    names = [*(f"x-{number}" for number in range(inputs)), "y"]
    places = [*(f"shards/{lane:02d}" for lane in range(workers)), test]
    return {(place, name): read(s3, f"{at}{place}/{name}.npy") for place in places for name in names}


@pytest.fixture
def whole(action, given, s3, put, tmp_path):
    """Give shards and test set of the same examples in one input: how they are dealt depends on labels alone."""
    body = saved(tmp_path / "w.keras", keras.Input((3,)))
    one = {**given, "run": given["run"][:50] + "-whole", "model": put("inputs/whole.keras", body)}
    found = shards(s3, split(action, {**one, "dataset": put("d/whole.npz", npz(x=X, y=Y))}))
    return {tuple(key.rsplit("/", 1)): array for key, array in found.items()}


def assert_cut(found, whole, *cuts):
    """Compare the arrays of several inputs with the columns of one."""
    for (place, name), array in found.items():
        expected = whole[place, "y"] if name == "y" else whole[place, "x"][:, cuts[int(name[2:])]]
        np.testing.assert_array_equal(array, expected, err_msg=f"{place}/{name}")
        assert array.dtype == expected.dtype


CUT = {"left": X[:, :2], "right": X[:, 2:]}
SAID = {"inputs": {"left": ["long", "wide"], "right": "high"}}
LISTS = pandas.DataFrame({"left": CUT["left"].tolist(), "right": CUT["right"].tolist(), "label": Y})
TWO = {
    "npz": (npz(**CUT, y=Y), {}),
    "npz of a training set": (npz(left_train=CUT["left"], right_train=CUT["right"], y_train=Y), {}),
    "npz of other names": (npz(a=CUT["left"], b=CUT["right"], c=Y), {"inputs": {"right": "b", "left": "a"}}),
    "npz with a number unused": (npz(**CUT, c=Y, i=Y), {"label": "c"}),
    "csv": (csv(table()), SAID),
    "jsonl": (json_lines(table()), SAID),
    "jsonl of lists": (json_lines(LISTS), {"inputs": {"left": "left", "right": ["right"]}}),
    "parquet": (parquet(table()), SAID),
    "parquet of groups": (pyarrow_parquet(table(), row_group_size=13), SAID),
    "feather": (feather(table()), SAID),
}


@pytest.mark.parametrize("name", TWO)
def test_two_inputs(action, two, whole, s3, put, name):
    body, said = TWO[name]
    at = split(action, {**two, "dataset": put("d/two", body), **said})
    assert_cut(arrays(s3, at, 2), whole, slice(0, 2), slice(2, 3))


def test_a_file_an_array(action, two, whole, s3, put):
    for name, array in (*CUT.items(), ("labels", Y)):
        put(f"two/{name}.npy", npy(array))
    at = split(action, {**two, "dataset": f"s3://{s3.bucket}/two/"})
    assert_cut(arrays(s3, at, 2), whole, slice(0, 2), slice(2, 3))


def test_columns_are_inputs_of_their_names(action, columns, whole, s3, put):
    at = split(action, {**columns, "dataset": put("d/named.csv", csv(table()))})
    assert_cut(arrays(s3, at, 3), whole, slice(1, 2), slice(2, 3), slice(0, 1))


def test_one_array_may_be_two_inputs(action, given, whole, s3, put, tmp_path):
    body = saved(tmp_path / "m.keras", keras.Input((3,), name="a"), keras.Input((3,), name="b"))
    said = {"inputs": {"a": "x", "b": "x"}, "model": put("inputs/twice.keras", body)}
    at = split(action, {**given, **said, "dataset": put("d/twice.npz", npz(x=X, y=Y))})
    assert_cut(arrays(s3, at, 2), whole, slice(0, 3), slice(0, 3))


@pytest.mark.parametrize("form", ["one file", "a file of its own", "a file of short names"])
def test_a_test_set_of_several_inputs(action, two, s3, put, form):
    own = {f"{name}_train": array[:40] for name, array in CUT.items()} | {"y_train": Y[:40]}
    held = {f"{name}_test": array[40:] for name, array in CUT.items()} | {"y_test": Y[40:]}
    short = {name[:-TEST_END]: array for name, array in held.items()}
    if form == "one file":
        said = {"dataset": put("d/both.npz", npz(**own, **held))}
    else:
        other = held if form == "a file of its own" else short
        said = {"dataset": put("d/own.npz", npz(**own)), "test": put("d/held.npz", npz(**other))}
    at = split(action, {**two, **said})
    for name, expected in (("x-0", X[40:, :2]), ("x-1", X[40:, 2:]), ("y", Y[40:])):
        np.testing.assert_array_equal(read(s3, f"{at}test/{name}.npy"), expected)


def test_a_row_that_lacks_an_input_is_dropped_from_all(action, two, s3, put):
    frame = table()
    frame.loc[[3, 9], "high"] = np.nan
    at = split(action, {**two, "dataset": put("d/lacks.csv", csv(frame)), **SAID, "missing": "drop"})
    found = arrays(s3, at, 2)
    rows = {tuple(row) for place in ("shards/00", "shards/01", "shards/02", "test") for row in joined(found, place)}
    assert rows == {(*x, y) for x, y in zip(np.delete(X, [3, 9], 0), np.delete(Y, [3, 9]), strict=True)}


def joined(found, place):
    return np.hstack([found[place, "x-0"], found[place, "x-1"], found[place, "y"][:, None]]).astype(np.float32)


def of_text(rows=slice(None)):
    """Return the table of two texts, a number and a label."""
    return pandas.DataFrame({"s": TEXT[rows, 0], "t": TEXT[rows, 1], "n": X[rows, 0], "label": Y[rows]})


TEXT_SAID = {"inputs": {"said": ["s", "t"], "n": "n"}, "missing": "zero"}
TEXTS = {
    "npz": (npz(said=TEXT, n=X[:, :1], y=Y), {}),
    "npz of bytes": (npz(said=np.char.encode(TEXT, "utf-8"), n=X[:, :1], y=Y), {}),
    "csv": (csv(of_text()), TEXT_SAID),
    "jsonl": (json_lines(of_text()), TEXT_SAID),
    "parquet": (parquet(of_text()), TEXT_SAID),
    "feather": (feather(of_text()), TEXT_SAID),
}


@pytest.mark.parametrize("name", TEXTS)
def test_text(action, text, whole, s3, put, name):
    body, said = TEXTS[name]
    found = arrays(s3, split(action, {**text, "dataset": put("d/text", body), **said}), 2)
    of = {x.tobytes(): [one.encode() for one in row] for x, row in zip(X, TEXT, strict=True)}
    for (place, name), array in found.items():
        if name == "x-0":
            assert array.dtype.kind == "S"
            assert array.tolist() == [of[x.tobytes()] for x in whole[place, "x"]]


def test_longer_texts_in_the_test_set(action, text, s3, put):
    held = of_text(slice(40, 60)).assign(s="a much longer text than any in training")
    said = {"dataset": put("d/t.csv", csv(of_text(slice(0, 40)))), "test": put("d/h.csv", csv(held)), **TEXT_SAID}
    at = split(action, {**text, **said})
    assert {row[0] for row in read(s3, f"{at}test/x-0.npy").tolist()} == {b"a much longer text than any in training"}


def test_half_a_surrogate_pair_becomes_a_question_mark(action, text, s3, put):
    lines = [{"s": "\ud83d!", "t": "b", "n": 1.5, "label": int(y)} for y in Y]
    body = "\n".join(map(json.dumps, lines)).encode()
    found = arrays(s3, split(action, {**text, "dataset": put("d/s.jsonl", body), **TEXT_SAID}), 2)
    assert {tuple(row) for row in found["test", "x-0"].tolist()} == {(b"?!", b"b")}
