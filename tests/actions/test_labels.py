"""Labels of several outputs, of several columns, and those that are the inputs: from every format the same shards."""

import json

import keras
import numpy as np
import pandas
import pytest

from .conftest import SPARSE, labelled, npz
from .test_bad_input import npy
from .test_datasets import X, Y, csv, feather, json_lines, parquet, pyarrow_parquet, table
from .test_splitter import read, split

SIZE = X[:, :2] * 3
SOLD = np.where(X[:, 0] > 0, "yes", "no")
HOT = np.eye(4, dtype=np.uint8)[Y]


@pytest.fixture
def dealt(action, given, s3, put, tmp_path):
    """Give a function that says which examples lie where: as those of the first output alone are dealt."""

    def rows(body=None):
        model = put("labels/one.keras", labelled(tmp_path / "one.keras", {"kind": SPARSE}))
        said = {**given, "run": given["run"][:50] + "-dealt", "model": model}
        at = split(action, {**said, "dataset": put("d/dealt.npz", body or npz(x=X, y=Y))})
        places = [*(f"shards/{lane:02d}" for lane in range(3)), "test"]
        of = {x.tobytes(): number for number, x in enumerate(X)}
        return {place: [of[x.tobytes()] for x in read(s3, f"{at}{place}/x.npy")] for place in places}

    return rows


def assert_labels(s3, at, dealt, *expected):
    """Compare the labels of a split with those of the examples that lie there."""
    for place, rows in dealt.items():
        for number, labels in enumerate(expected):
            name = f"y-{number}" if len(expected) > 1 else "y"
            found = read(s3, f"{at}{place}/{name}.npy")
            np.testing.assert_array_equal(found, labels[rows], err_msg=f"{place}/{name}")
            assert found.shape == labels[rows].shape


FRAME = table().drop(columns="label").assign(kind=Y, wide_size=SIZE[:, 0], high_size=SIZE[:, 1], sold=SOLD)
SAID = {"label": {"kind": "kind", "size": ["wide_size", "high_size"], "sold": "sold"}}
LISTS = pandas.DataFrame({"x": X.tolist(), "kind": Y, "size": SIZE.tolist(), "sold": SOLD})
THREE = {
    "npz": (npz(in0=X, kind=Y, size=SIZE, sold=SOLD), {}),
    "npz of x": (npz(x=X, kind=Y, size=SIZE, sold=SOLD), {}),
    "npz of a training set": (npz(x_train=X, kind_train=Y, size_train=SIZE, sold_train=SOLD), {}),
    "npz of other names": (
        npz(a=X, b=Y, c=SIZE, d=SOLD, e=Y),
        {"inputs": "a", "label": {"sold": "d", "kind": "b", "size": "c"}},
    ),
    "csv": (csv(FRAME), SAID),
    "jsonl": (json_lines(FRAME), SAID),
    "jsonl of lists": (json_lines(LISTS), {}),
    "parquet": (parquet(FRAME), SAID),
    "parquet of groups": (pyarrow_parquet(FRAME, row_group_size=13), SAID),
    "feather": (feather(FRAME), SAID),
}


@pytest.mark.parametrize("name", THREE)
def test_three_outputs(action, three, dealt, s3, put, name):
    body, said = THREE[name]
    at = split(action, {**three, "dataset": put("d/three", body), **said})
    assert_labels(s3, at, dealt(), Y, SIZE.astype(np.float32), (SOLD == "yes").astype(np.int64))


def test_a_file_an_array(action, three, dealt, s3, put):
    for name, array in {"x": X, "kind": Y, "size": SIZE, "sold": SOLD}.items():
        put(f"three/{name}.npy", npy(array))
    at = split(action, {**three, "run": "labels-a-file-an-array", "dataset": f"s3://{s3.bucket}/three/"})
    assert_labels(s3, at, dealt(), Y, SIZE.astype(np.float32), (SOLD == "yes").astype(np.int64))


def test_classes_are_dealt_by_the_first_output_that_has_some(action, given, dealt, s3, put, tmp_path):
    losses = {"size": "mse", "kind": SPARSE}
    model = put("labels/size.keras", labelled(tmp_path / "m.keras", losses))
    at = split(action, {**given, "model": model, "dataset": put("d/size.npz", npz(x=X, kind=Y, size=SIZE))})
    assert_labels(s3, at, dealt(), SIZE.astype(np.float32), Y)


def test_names_of_classes_are_kept_by_output(action, three, s3, put):
    kinds = np.array(["ash", "birch", "cedar", "fir"])[Y]
    split(action, {**three, "dataset": put("d/named.npz", npz(x=X, kind=kinds, size=SIZE, sold=SOLD))})
    body = s3.client.get_object(Bucket=s3.bucket, Key=f"runs/{three['run']}/classes.json")["Body"].read()
    assert json.loads(body) == {"kind": ["ash", "birch", "cedar", "fir"], "sold": ["no", "yes"]}


def test_an_output_without_a_loss_has_no_labels(action, given, dealt, s3, put, tmp_path):
    losses = {"kind": SPARSE, "size": None}
    model = put("labels/free.keras", labelled(tmp_path / "m.keras", losses))
    at = split(action, {**given, "model": model, "dataset": put("d/free.npz", npz(x=X, y=Y))})
    assert_labels(s3, at, dealt(), Y)


@pytest.mark.parametrize("form", ["one file", "a file of its own", "a file of short names"])
def test_a_test_set_of_several_outputs(action, three, s3, put, form):
    whole = {"x": X, "kind": Y, "size": SIZE, "sold": SOLD}
    own = {f"{name}_train": array[:40] for name, array in whole.items()}
    held = {f"{name}_test": array[40:] for name, array in whole.items()}
    short = {name: array[40:] for name, array in whole.items()}
    if form == "one file":
        said = {"dataset": put("d/both.npz", npz(**own, **held))}
    else:
        other = held if form == "a file of its own" else short
        said = {"dataset": put("d/own.npz", npz(**own)), "test": put("d/held.npz", npz(**other))}
    at = split(action, {**three, **said})
    labels = (Y, SIZE.astype(np.float32), (SOLD == "yes").astype(np.int64))
    for number, expected in enumerate(labels):
        np.testing.assert_array_equal(read(s3, f"{at}test/y-{number}.npy"), expected[40:])


@pytest.mark.parametrize("form", ["csv", "parquet", "json lines of lists"])
def test_columns_side_by_side_are_one_output(action, given, dealt, s3, put, tmp_path, form):
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(4, "sigmoid")])
    model.compile("sgd", "binary_crossentropy")
    model.save(tmp_path / "m.keras")
    frame = table().drop(columns="label").assign(**{f"is{number}": HOT[:, number] for number in range(4)})
    said = {"model": put("labels/many.keras", (tmp_path / "m.keras").read_bytes())}
    if form == "json lines of lists":
        body = json_lines(table().drop(columns="label").assign(label=HOT.tolist()))
    else:
        body, said["label"] = {"csv": csv, "parquet": parquet}[form](frame), [f"is{number}" for number in range(4)]
    at = split(action, {**given, **said, "dataset": put("d/many", body)})
    assert_labels(s3, at, dealt(), HOT)


@pytest.mark.parametrize("form", ["npz", "csv", "with a test set"])
def test_labels_may_be_the_inputs(action, given, s3, put, tmp_path, form):
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(3)])
    model.compile("sgd", "mse")
    model.save(tmp_path / "m.keras")
    said = {"inputs": ["long", "wide", "high"], "label": ["long", "wide", "high"]}
    if form != "csv":
        said = {"inputs": "x_train", "label": "x_train"}
    body = npz(x_train=X, y_train=Y, **({"x_test": X, "y_test": Y} if form == "with a test set" else {}))
    body = csv(table()) if form == "csv" else body
    model = put("labels/auto.keras", (tmp_path / "m.keras").read_bytes())
    at = split(action, {**given, **said, "model": model, "dataset": put("d/auto", body)})
    for place in ("shards/00", "shards/01", "shards/02", "test"):
        found = read(s3, f"{at}{place}/y.npy")
        np.testing.assert_array_equal(read(s3, f"{at}{place}/x.npy"), found)
        assert found.shape == (len(found), 3) and len(found)


@pytest.mark.parametrize("form", ["npz", "csv"])
def test_two_outputs_may_have_the_same_labels(action, given, dealt, s3, put, tmp_path, form):
    model = put("labels/twice.keras", labelled(tmp_path / "m.keras", {"kind": SPARSE, "again": SPARSE}))
    said = {"model": model, "label": {"kind": "label", "again": "label"}}
    body = npz(x=X, label=Y) if form == "npz" else csv(table())
    at = split(action, {**given, **said, "dataset": put("d/twice", body)})
    assert_labels(s3, at, dealt(), Y, Y)
