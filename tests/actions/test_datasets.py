"""Datasets of every format through planner and splitter: the same shards as of the same data in an `.npz`."""

import gzip
import io
import json
import re

import numpy as np
import pandas
import pyarrow
import pyarrow.feather
import pyarrow.parquet
import pytest
from sklearn.utils.class_weight import compute_sample_weight

from common.errors import DatasetError
from services import ROOT
from tests.archives import encoded, tarred, zipped

from .conftest import keras_file, npz
from .test_bad_input import npy
from .test_splitter import read, split

NAMES = ["long", "wide", "high"]
RANDOM = np.random.default_rng(7)
X = RANDOM.normal(size=(60, 3)).astype(np.float32)
Y = RANDOM.permutation(np.arange(60) % 4)
MODEL = keras_file(shape=(3,), units=4)


def table(x=X, y=Y):
    return pandas.DataFrame(dict(zip(NAMES, x.T, strict=True)) | {"label": y})


def csv(frame, **form):
    return frame.to_csv(index=False, **form).encode()


def json_lines(frame):
    return frame.to_json(orient="records", lines=True, double_precision=15).encode()


def parquet(frame):
    file = io.BytesIO()
    frame.to_parquet(file)
    return file.getvalue()


def pyarrow_parquet(frame, **form):
    file = io.BytesIO()
    pyarrow.parquet.write_table(pyarrow.Table.from_pandas(frame, preserve_index=False), file, **form)
    return file.getvalue()


def feather(frame):
    file = io.BytesIO()
    pyarrow.feather.write_feather(frame, file)
    return file.getvalue()


def stream(frame):
    file = io.BytesIO()
    batch = pyarrow.Table.from_pandas(frame, preserve_index=False)
    with pyarrow.ipc.new_stream(file, batch.schema) as writer:
        writer.write_table(batch, max_chunksize=7)
    return file.getvalue()


def zstd(body):
    return pyarrow.compress(body, "zstd", asbytes=True)


def tensors():
    """Return the examples as one column of lists."""
    lists = pyarrow.FixedSizeListArray.from_arrays(pyarrow.array(X.ravel()), 3)
    file = io.BytesIO()
    pyarrow.parquet.write_table(pyarrow.table({"x": lists, "y": Y}), file)
    return file.getvalue()


FORMATS = {
    "csv": csv(table()),
    "tsv": csv(table(), sep="\t"),
    "semicolons": csv(table(), sep=";"),
    "csv.gz": gzip.compress(csv(table())),
    "csv.zst": zstd(csv(table())),
    "jsonl": json_lines(table()),
    "jsonl.gz": gzip.compress(json_lines(table())),
    "parquet of pandas": parquet(table()),
    "parquet of pyarrow": pyarrow_parquet(table(), row_group_size=13, compression="zstd"),
    "parquet of lists": tensors(),
    "feather": feather(table()),
    "arrow stream": stream(table()),
}


PAGE = {  # rows of docs/data.md, and what of this file goes through planner and splitter for each
    ".npz": ["npz"],
    ".npy": ["test_arrays_of_a_file_each"],
    "CSV, TSV": ["csv", "tsv", "semicolons", "csv.gz", "csv.zst"],
    "JSON lines": ["jsonl", "jsonl.gz"],
    "Parquet": ["parquet of pandas", "parquet of pyarrow", "parquet of lists", "image_parquet"],
    "Arrow, Feather": ["feather", "arrow stream"],
    "images in folders": ["folder_zip", "folder_tar", "test_images_in_train_and_test_folders"],
    "WebDataset": ["webdataset"],
}


def test_every_row_of_the_page_is_tried():
    page = (ROOT / "docs" / "data.md").read_text()
    rows = re.findall(r"^\| ([^|]+?) \|", page, re.MULTILINE)
    assert [row.strip("`") for row in rows[1:] if row != "---"] == list(PAGE)
    assert all(name in FORMATS or name in globals() for names in PAGE.values() for name in names)


@pytest.fixture
def asked(given, put):
    """Give parameters of a run on the table's model."""
    return {**given, "model": put("data/table.keras", MODEL)}


def shards(s3, at, workers=3):
    """Return every array of a run by its key."""
    places = [*(f"shards/{lane:02d}" for lane in range(workers)), "test"]
    return {f"{place}/{name}": read(s3, f"{at}{place}/{name}.npy") for place in places for name in "xy"}


@pytest.fixture
def expected(action, asked, s3, put):
    """Give the shards of the data as an `.npz`."""
    body = npz(x=X, y=Y)
    return shards(s3, split(action, {**asked, "run": asked["run"][:50] + "-npz", "dataset": put("d/t.npz", body)}))


def assert_same(found, expected):
    assert found.keys() == expected.keys()
    for key, array in expected.items():
        np.testing.assert_array_equal(found[key], array, err_msg=key)
        assert found[key].dtype == array.dtype, key


@pytest.mark.parametrize("name", FORMATS)
def test_a_table_gives_the_shards_of_the_same_arrays(action, asked, expected, s3, put, name):
    at = split(action, {**asked, "dataset": put("d/table", FORMATS[name])})
    assert_same(shards(s3, at), expected)


def test_parts_are_one_dataset(action, asked, expected, s3, put):
    frame = table()
    for number, rows in enumerate((slice(0, 11), slice(11, 40), slice(40, 60))):
        put(f"parts/part-{number}.csv", csv(frame[rows]))
    put("parts/_SUCCESS", b"")
    put("parts/.hidden", b"x")
    assert_same(shards(s3, split(action, {**asked, "dataset": f"s3://{s3.bucket}/parts/"})), expected)


def test_arrays_of_a_file_each(action, asked, expected, s3, put):
    both = [put("d/x.npy", npy(X)), put("d/y.npy.gz", gzip.compress(npy(Y)))]
    assert_same(shards(s3, split(action, {**asked, "dataset": both})), expected)


def test_npz_parts(action, asked, expected, s3, put):
    parts = [put(f"d/{k}.npz", npz(x=X[rows], y=Y[rows])) for k, rows in enumerate((slice(0, 9), slice(9, 60)))]
    assert_same(shards(s3, split(action, {**asked, "dataset": parts})), expected)


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (("images", "labels"), {}),
        (("a", "b"), {"label": "b"}),
        (("a", "b"), {"inputs": "a"}),
        (("a", "b"), {"inputs": ["a"], "label": "b"}),
    ],
)
def test_arrays_of_other_names(action, asked, expected, s3, put, names, said):
    body = npz(**dict(zip(names, (X, Y), strict=True)))
    assert_same(shards(s3, split(action, {**asked, "dataset": put("d/o.npz", body), **said})), expected)


LETTERS = np.array(["delta", "alpha", "bravo", "charlie"])  # in sorted order: 1, 2, 3, 0


@pytest.mark.parametrize("form", ["csv", "npz", "bytes"])
def test_text_labels_become_class_numbers(action, asked, s3, put, form):
    text = LETTERS[Y]
    bodies = {"csv": csv(table(y=text)), "npz": npz(x=X, y=text), "bytes": npz(x=X, y=text.astype("S"))}
    at = split(action, {**asked, "dataset": put("d/letters", bodies[form])})
    found = shards(s3, at)
    pairs = {
        (x.tobytes(), int(y)) for k in found if k[-1] == "x" for x, y in zip(found[k], found[k[:-1] + "y"], strict=True)
    }
    assert pairs == {(x.tobytes(), int(n)) for x, n in zip(X, np.array([3, 0, 1, 2])[Y], strict=True)}
    names = json.loads(s3.client.get_object(Bucket=s3.bucket, Key=f"runs/{asked['run']}/classes.json")["Body"].read())
    assert names == ["alpha", "bravo", "charlie", "delta"]


def test_truth_values_become_class_numbers(action, asked, s3, put):
    at = split(action, {**asked, "dataset": put("d/truth.csv", csv(table(y=Y > 1)))})
    found = shards(s3, at)
    assert sorted(np.concatenate([found[key] for key in found if key[-1] == "y"])) == [0] * 30 + [1] * 30
    assert json.loads(
        s3.client.get_object(Bucket=s3.bucket, Key=f"runs/{asked['run']}/classes.json")["Body"].read()
    ) == [
        "false",
        "true",
    ]


def test_columns_are_chosen(action, asked, s3, put):
    model = put("d/two.keras", keras_file(shape=(2,), units=4))
    frame = table().rename(columns={"label": "kind"}).assign(note="text")
    said = {"label": "kind", "inputs": ["high", "long"], "model": model, "dataset": put("d/chosen.csv", csv(frame))}
    found = shards(s3, split(action, {**asked, **said}))
    rows = np.concatenate([found[key] for key in found if key[-1] == "x"])
    assert {row.tobytes() for row in rows} == {row.tobytes() for row in X[:, [2, 0]]}
    plan = json.loads(s3.client.get_object(Bucket=s3.bucket, Key=f"runs/{asked['run']}/plan.json")["Body"].read())
    assert "nothing uses the columns note, wide of the dataset" in plan["warnings"]


@pytest.mark.parametrize("missing", ["drop", "zero", "mean"])
def test_missing_values(action, asked, s3, put, missing):
    frame = table().astype({"wide": np.float64})
    frame.loc[[3, 17], "wide"] = np.nan
    found = shards(s3, split(action, {**asked, "missing": missing, "dataset": put("d/missing.csv", csv(frame))}))
    rows = np.concatenate([found[key] for key in found if key[-1] == "x"])
    wanted = X.copy()
    if missing == "drop":
        wanted = np.delete(wanted, [3, 17], axis=0)
    else:
        wanted[[3, 17], 1] = 0 if missing == "zero" else np.delete(X[:, 1], [3, 17]).mean(dtype=np.float64)
    np.testing.assert_allclose(rows[np.lexsort(rows.T)], wanted[np.lexsort(wanted.T)], rtol=1e-6)


def test_whole_numbers_stay_whole(action, asked, s3, put):
    frame = pandas.DataFrame(RANDOM.integers(0, 2**40, (60, 3)), columns=NAMES).assign(label=Y)
    found = shards(s3, split(action, {**asked, "dataset": put("d/whole.csv", csv(frame))}))
    rows = np.concatenate([found[key] for key in found if key[-1] == "x"])
    assert rows.dtype == np.int64 and {*map(tuple, rows)} == {*map(tuple, frame[NAMES].to_numpy())}


def test_a_test_set_of_its_own(action, asked, s3, put):
    letters = {
        "dataset": put("d/t.csv", csv(table(y=LETTERS[Y]))),
        "test": put("d/u.csv", csv(table(X[:9], LETTERS[Y[:9]]))),
    }
    at = split(action, {**asked, **letters})
    np.testing.assert_array_equal(read(s3, f"{at}test/x.npy"), X[:9])
    np.testing.assert_array_equal(read(s3, f"{at}test/y.npy"), np.array([3, 0, 1, 2])[Y[:9]])


def test_a_held_out_set_needs_no_weights(action, asked, s3, put):
    body = csv(table().assign(w=RANDOM.random(60)))
    said = {"dataset": put("d/t.csv", body), "test": put("d/u.csv", csv(table(X[:9], Y[:9]))), "sample_weight": "w"}
    at = split(action, {**asked, **said})
    np.testing.assert_array_equal(read(s3, f"{at}test/y.npy"), Y[:9])
    assert len(read(s3, f"{at}shards/00/weight.npy")) == 20


def test_a_missing_image_is_dropped(action, asked, s3, put):
    images = RANDOM.integers(0, 256, (12, 8, 8, 1), np.uint8)
    rows = [None if k == 5 else {"bytes": encoded(one), "path": ""} for k, one in enumerate(images)]
    file = io.BytesIO()
    pyarrow.parquet.write_table(pyarrow.table({"image": rows, "label": [k % 4 for k in range(12)]}), file)
    given = {
        "model": put("d/i.keras", keras_file(shape=(8, 8, 1), units=4)),
        "dataset": put("d/i.parquet", file.getvalue()),
    }
    with pytest.raises(
        DatasetError, match="column image has no value in some row, expected one in each, or missing: drop"
    ):
        split(action, {**asked, **given, "run": "a-missing-image"})
    found = shards(s3, split(action, {**asked, **given, "missing": "drop"}))
    rows = np.concatenate([found[key] for key in found if key[-1] == "x"])
    assert {row.tobytes() for row in rows} == {row.tobytes() for k, row in enumerate(images) if k != 5}


@pytest.mark.parametrize("form", ["csv", "npz", "numbers"])
def test_no_group_is_on_both_sides(action, asked, s3, put, form):
    group = np.array([f"patient {number}" for number in RANDOM.permutation(np.arange(60) % 9)])
    numbers = np.array([int(name[-1]) for name in group])
    bodies = {"csv": csv(table().assign(g=group)), "npz": npz(x=X, y=Y, g=group), "numbers": npz(x=X, y=Y, g=numbers)}
    said = {"dataset": put(f"d/group-{form}", bodies[form]), "group": "g", "test": 0.2, "validation": 0.2}
    at = split(action, {**asked, **said})
    found = {**shards(s3, at), "validation/x": read(s3, f"{at}validation/x.npy")}
    of = {x.tobytes(): name for x, name in zip(X, group, strict=True)}
    sides = [{of[x.tobytes()] for x in found[key]} for key in ("test/x", "validation/x")]
    sides.append({of[x.tobytes()] for lane in range(3) for x in found[f"shards/{lane:02d}/x"]})
    assert sum(map(len, sides)) == 9 and set.union(*sides) == set(group)
    assert 12 <= len(found["test/x"]) < 12 + 7 and 12 <= len(found["validation/x"]) < 12 + 7
    assert len({len(found[f"shards/{lane:02d}/x"]) for lane in range(3)}) <= 2
    plan = json.loads(s3.client.get_object(Bucket=s3.bucket, Key=f"runs/{asked['run']}/plan.json")["Body"].read())
    assert [one["examples"] for one in plan["held"]] == [len(found["test/x"]), len(found["validation/x"])]


def test_two_fractions(action, asked, s3, put):
    at = split(action, {**asked, "dataset": put("d/t.csv", csv(table())), "test": 0.2, "validation": 0.25})
    found = shards(s3, at)
    sizes = [len(found[f"shards/{lane:02d}/y"]) for lane in range(3)]
    assert (sizes, len(found["test/y"]), len(read(s3, f"{at}validation/y.npy"))) == ([11, 11, 11], 12, 15)
    assert np.bincount(found["test/y"]).tolist() == [3] * 4  # of each class a share


def weights_of(found):
    """Return {example's bytes: its weight} of all shards."""
    keys = [key for key in found if key.startswith("shards") and key[-1] == "x"]
    return {x.tobytes(): float(w) for key in keys for x, w in zip(found[key], found[key[:-1] + "weight"], strict=True)}


def weighted(action, asked, s3, **said):
    at = split(action, {**asked, **said})
    found = shards(s3, at)
    return found | {f"shards/{lane:02d}/weight": read(s3, f"{at}shards/{lane:02d}/weight.npy") for lane in range(3)}


@pytest.mark.parametrize("form", ["csv", "npz"])
def test_every_example_has_its_own_weight(action, asked, s3, put, form):
    own = RANDOM.random(60).astype(np.float32)
    bodies = {"csv": csv(table().assign(w=own)), "npz": npz(x=X, y=Y, w=own)}
    found = weighted(action, asked, s3, dataset=put("d/weights", bodies[form]), sample_weight="w", test=0.1)
    assert len(found["test/x"]) == 6
    held = {x.tobytes(): w for x, w in zip(X, own, strict=True)}
    got = weights_of(found)
    assert len(got) == 54 and got == {key: float(held[key]) for key in got}


@pytest.mark.parametrize("names", [None, LETTERS])
def test_classes_weigh_what_was_asked(action, asked, s3, put, names):
    frame = table(y=Y if names is None else names[Y])
    factors = {str(k if names is None else names[k]): weight for k, weight in ((0, 0.5), (2, 3.0))}
    own = RANDOM.random(60).astype(np.float32)
    said = {"sample_weight": "w", "class_weight": factors, "dataset": put("d/w.csv", csv(frame.assign(w=own)))}
    got = weights_of(weighted(action, asked, s3, **said))
    expected = own * np.array([0.5, 1, 3, 1], np.float32)[Y]
    assert got.items() <= {x.tobytes(): float(w) for x, w in zip(X, expected, strict=True)}.items()


def test_balanced_classes_weigh_as_scikit_learn_has_it(action, asked, s3, put):
    y = np.where(np.arange(60) < 45, 0, 1 + np.arange(60) % 3)
    found = weighted(action, asked, s3, dataset=put("d/b.csv", csv(table(y=y))), class_weight="balanced")
    labels = np.concatenate([found[f"shards/{lane:02d}/y"] for lane in range(3)])
    weights = np.concatenate([found[f"shards/{lane:02d}/weight"] for lane in range(3)])
    np.testing.assert_allclose(weights, compute_sample_weight("balanced", labels), rtol=1e-6)


def album(write, labels=Y[:24]):
    """Return an archive of grey images, and the images."""
    images = RANDOM.integers(0, 256, (len(labels), 8, 8, 1), np.uint8)
    return write(images, labels), images


def folder_zip(images, labels):
    return zipped(
        {f"{LETTERS[y]}/{k}.png": encoded(one) for k, (one, y) in enumerate(zip(images, labels, strict=True))}
    )


def folder_tar(images, labels):
    return tarred(
        {f"{LETTERS[y]}/{k}.png": encoded(one) for k, (one, y) in enumerate(zip(images, labels, strict=True))}
    )


def webdataset(images, labels):
    files = {}
    for k, (one, y) in enumerate(zip(images, labels, strict=True)):
        files |= {f"{k:04}.png": encoded(one), f"{k:04}.cls": LETTERS[y].encode()}
    return tarred(files)


def image_parquet(images, labels):
    rows = [{"bytes": encoded(one), "path": ""} for one in images]
    file = io.BytesIO()
    pyarrow.parquet.write_table(pyarrow.table({"image": rows, "label": LETTERS[labels]}), file)
    return file.getvalue()


def image_npz(images, labels):
    return npz(x=images, y=LETTERS[labels])


@pytest.mark.parametrize("write", [folder_zip, folder_tar, webdataset, image_parquet])
def test_images_give_the_shards_of_the_same_arrays(action, asked, s3, put, write):
    model = put("d/images.keras", keras_file(shape=(8, 8, 1), units=4))
    found = []
    for number, form in enumerate((image_npz, write)):
        body, _ = album(
            lambda images, labels, form=form: form(np.arange(1536, dtype=np.uint8).reshape(24, 8, 8, 1), labels)
        )
        given = {
            **asked,
            "run": f"{write.__name__.replace('_', '-')}-{number}",
            "model": model,
            "dataset": put(f"d/album-{number}", body),
        }
        found.append(shards(s3, split(action, given)))
    assert_same(found[1], found[0])


def test_images_in_train_and_test_folders(action, asked, s3, put):
    images = RANDOM.integers(0, 256, (30, 8, 8, 1), np.uint8)
    files = {f"{'train' if k < 24 else 'test'}/{LETTERS[k % 4]}/{k}.png": encoded(one) for k, one in enumerate(images)}
    given = {
        "model": put("d/i.keras", keras_file(shape=(8, 8, 1), units=4)),
        "dataset": put("d/sets.zip", zipped(files)),
    }
    at = split(action, {**asked, **given})
    np.testing.assert_array_equal(read(s3, f"{at}test/x.npy"), images[24:])
    np.testing.assert_array_equal(read(s3, f"{at}test/y.npy"), np.array([3, 0, 1, 2])[np.arange(24, 30) % 4])
    assert [len(found) for key, found in shards(s3, at).items() if key[-1] == "y"] == [8, 8, 8, 6]
