"""What a dataset of rows, of arrays or of several objects may not be: planner or splitter say it in one sentence."""

import gzip
import io
import re

import numpy as np
import pandas
import pyarrow
import pyarrow.parquet
import pytest

from common.errors import RunError
from common.plan import plan as plans
from common.split import dealing
from common.storage.objects import Objects
from common.storage.run import Run
from tests.archives import encoded, tarred, zipped

from .conftest import keras_file, npz
from .test_bad_input import npy, refusal
from .test_datasets import LETTERS, X, Y, csv, json_lines, parquet, table

AT = "dataset: s3://openwhisk-dl/r/d: "
PNG = encoded(np.zeros((8, 8, 1), np.uint8))
MODELS = {
    "table": keras_file(shape=(3,), units=4),
    "images": keras_file(shape=(8, 8, 1), units=4),
    "regression": keras_file(shape=(3,), units=1, loss="mse"),
    "binary": keras_file(shape=(3,), units=1, loss="binary_crossentropy"),
}


def changed(column, row, value):
    frame = table().astype({column: object})
    frame.loc[row, column] = value
    return csv(frame)


def lacking(*rows, column="wide"):
    frame = table().astype({column: float})
    frame.loc[list(rows), column] = np.nan
    return csv(frame)


def tensor_parquet(**columns):
    file = io.BytesIO()
    pyarrow.parquet.write_table(pyarrow.table(columns), file)
    return file.getvalue()


DAYS = table().assign(long=pandas.date_range("2026-01-01", periods=60))
VALUE = "in row 6, expected numbers that 32 bits hold"
ONE = "expected one in each, or missing: "
REFUSED = {
    "no label": (csv(table().rename(columns={"label": "kind"})), {}, AT + "got the columns high, kind, long, wide, expected the name of one as label"),
    "two labels": (csv(table().assign(y=1)), {}, AT + "got the columns high, label, long, wide, y, expected the name of one as label"),
    "an unknown label": (csv(table()), {"label": "kind"}, AT + "got the columns high, label, long, wide, expected kind as asked for"),
    "an unknown input": (csv(table()), {"inputs": ["long", "deep"]}, AT + "got the columns high, label, long, wide, expected deep as asked for"),
    "the label among the inputs": (csv(table()), {"inputs": ["long", "label"]}, AT + "column label is asked for twice, expected label, sample_weight and inputs apart"),
    "a label alone": (csv(table()[["label"]].assign(o=1)), {"sample_weight": "o"}, AT + "got the column label alone, expected columns of inputs beside it"),
    "text among the inputs": (csv(table().assign(wide="x")), {}, AT + "column wide holds text, expected numbers: leave it out by inputs"),
    "a cell of text": (changed("wide", 5, "many"), {}, AT + "column wide holds text (row 6 'many'), expected numbers: leave it out by inputs"),
    "dates": (parquet(DAYS), {}, AT + "column long holds values of type timestamp[us], expected numbers: leave it out by inputs"),
    "lists beside numbers": (tensor_parquet(a=X.tolist(), b=X[:, 0], label=Y), {}, AT + "column a holds arrays of shape (3,), expected single numbers, or it alone as an input"),
    "lists of several lengths": (tensor_parquet(a=[[1.0], [1.0, 2.0]], label=[0, 1]), {}, AT + "column a holds lists of (1,) (row 1) and (2,) (row 2), expected numbers: leave it out by inputs"),
    "infinity": (changed("wide", 5, "inf"), {}, AT + f"column wide: got inf {VALUE}"),
    "more than 32 bits": (changed("wide", 5, 1e39), {}, AT + f"column wide: got 1e+39 {VALUE}"),
    "missing inputs": (lacking(5, 7), {}, AT + f"column wide has no value in 2 rows, the first is row 6, {ONE}drop, zero or mean"),
    "one missing input": (lacking(5), {}, AT + f"column wide has no value in 1 row, the first is row 6, {ONE}drop, zero or mean"),
    "a missing label": (lacking(5, column="label"), {"missing": "zero"}, AT + f"column label has no value in 1 row, the first is row 6, {ONE}drop"),
    "nothing but missing": (lacking(*range(60)), {"missing": "drop"}, AT + "column wide holds no value in any row, expected numbers: leave it out by inputs"),
    "every row lacks something": (csv(table().assign(wide=[1, None] * 30, long=[None, 1] * 30)), {"missing": "drop"}, AT + "got no row without a missing value, expected at least one"),
    "missing, for arrays": (npz(x=X, y=Y), {"missing": "drop"}, "missing: got a value, expected none, as the dataset holds arrays"),
    "image_size, for arrays": (npz(x=X, y=Y), {"image_size": 9}, "image_size: got a value, expected none, as the dataset holds arrays"),
    "two inputs of arrays": (npz(x=X, y=Y), {"inputs": ["x", "y"]}, "inputs: got 2 arrays, expected one"),
    "an array that is not there": (npz(x=X, y=Y), {"label": "z"}, AT + "got the arrays x, y, expected z as asked for"),
    "which array is the label": (npz(a=X, b=Y, c=Y), {"inputs": "a"}, AT + "got the arrays a, b, c, expected one of them as label"),
    "weights of another length": (npz(x=X, y=Y, w=np.ones(59)), {"sample_weight": "w"}, AT + "w got shape (59,), expected one value for each of 60 examples"),
    "a weight below 0": (csv(table().assign(w=[1] * 59 + [-1])), {"sample_weight": "w"}, "sample_weight: example 59 got -1.0, expected 0 or more"),
    "a weight of text": (csv(table().assign(w="x")), {"sample_weight": "w"}, AT + "column w holds text, expected a number, the weight of an example"),
    "an unknown class": (csv(table(y=LETTERS[Y])), {"class_weight": {"echo": 1}}, "class_weight: got class 'echo', expected one of the classes alpha, bravo, charlie, delta"),
    "weights without classes": (csv(table(y=X[:, 0] + 0.5)), {"class_weight": "balanced", "model": "regression"}, "class_weight: got a value, expected none, as the labels are no classes"),
    "more classes than outputs": (csv(table(y=[f"c{k % 5}" for k in range(60)])), {}, "model: it gives 4 classes, expected 5, as column label holds the classes c0, c1, c2, c3, c4"),
    "three classes of two": (csv(table(y=LETTERS[Y % 3])), {"model": "binary"}, "model: it gives 2 classes, expected 3, as column label holds the classes alpha, bravo, delta"),
    "a class number too many": (csv(table(y=Y + 1)), {}, "label: got labels 1..4, expected 0..3 as the model gives"),
    "text where numbers are learnt": (csv(table(y=LETTERS[Y])), {"model": "regression"}, "label: column label holds text, expected numbers for loss mean_squared_error"),
    "a column of two lines": (csv(table().assign(**{"wi\nde\x07": "x"})), {}, AT + "column wi de\\x07 holds text, expected numbers: leave it out by inputs"),
    "one group": (csv(table().assign(g="a")), {"group": "g"}, "group: column g has 1 groups, expected one for each of 1 held-out sets and one to train on"),
    "a row without its group": (csv(table().assign(g=["a", None] * 30)), {"group": "g"}, AT + f"column g has no value in 30 rows, the first is row 2, {ONE}drop"),
    "one row": (csv(table()[:1]), {}, "dataset: got one training example, expected two, as a fraction of them is held out"),
    "fewer rows than workers": (csv(table()[:3]), {"workers": 3}, "workers: got 3, expected at most one per training example (2)"),
    "all held out": (csv(table()), {"test": 0.6, "validation": 0.6}, "dataset: got 60 examples, expected more than test and validation hold out of them"),
    "another shape than the model's": (csv(table().drop(columns="wide")), {}, "model: its input is (3,), expected (2,) as in the dataset"),
    "images of another size": (zipped({"a/0.png": encoded(np.zeros((9, 8, 1), np.uint8))}), {"model": "images", "test": 0.5}, "dataset: got one training example, expected two, as a fraction of them is held out"),
    "an image that does not decode": (zipped({"a/0.png": PNG, "b/1.png": PNG[:45]}), {"model": "images"}, AT + "'b/1.png': got an image that does not decode (image file is truncated"),
    "gzip cut off": (gzip.compress(csv(table()))[:-20], {}, AT + "got damaged gzip ("),
    "gzip of an npz": (gzip.compress(npz(x=X, y=Y)), {}, AT + "got an .npz inside of another packing, expected the .npz itself"),
    "gzip of Parquet": (gzip.compress(parquet(table())), {}, AT + "got Parquet inside of another packing, expected the file itself: it packs its columns"),
    "an Excel file": (zipped({"xl/workbook.xml": b"", "[Content_Types].xml": b""}), {}, AT + "got an Excel file, expected .npz, .npy, CSV, JSON lines, Parquet, Arrow or images: import pandas; pandas.read_excel('d').to_csv('d.csv', index=False)"),
    "a zip of text": (zipped({"a/0.txt": b"x"}), {}, AT + "got an archive without an image, expected a folder of images a class"),
    "a tar of text": (tarred({"a/0.txt": b"x"}), {}, AT + "got an archive without an image, expected a folder of images a class"),
    "text that is no table": (b"some words\nand more\n", {}, AT + "got an unknown format, expected .npz, .npy, CSV, JSON lines, Parquet, Arrow or images"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_one_object(action, given, s3, put, name):
    body, said, sentence = REFUSED[name]
    model = put("r/m.keras", MODELS[said.get("model", "table")])
    given |= {"run": "refused-" + re.sub("[^a-z0-9]+", "-", name.lower()), "workers": 1}
    found = refusal(action, {**given, "dataset": put("r/d", body), **said, "model": model})
    assert found.startswith(sentence)
    run = Run(Objects(s3.params), given["run"])
    assert not run.sizes("waves/")
    if plan := plans.find(run):
        assert not plan.data(run.objects).sizes("shards/")


PARTS = {
    "several formats": ([csv(table()), json_lines(table())], "part 2 (r/1): got another format than part 1, expected the same"),
    "other columns": ([csv(table()), csv(table().rename(columns={"wide": "deep"}))], "part 2 has the columns deep, high, label, long, expected high, label, long, wide as in part 1"),
    "another order": ([csv(table()), csv(table()[["label", "long", "wide", "high"]])], None),
    "text in one": ([csv(table()), csv(table().assign(wide="x"))], "part 2: column wide holds text, expected numbers (<f8) as in part 1"),
    "an odd row": ([csv(table()), csv(table()) + b"1,2\n"], "part 2 (r/1): row 61 has 2 cells, expected 4 as in the header"),
    "an empty part": ([csv(table()), b""], "part 2 (r/1): got an empty object, expected .npz, .npy, CSV, JSON lines, Parquet, Arrow or images"),
    "arrays of several types": ([npz(x=X, y=Y), npz(x=X.astype(int), y=Y)], "x got <i8 of shape (3,), expected <f4 of shape (3,) as in the first part"),
    "arrays of several shapes": ([npz(x=X, y=Y), npz(x=X[:, :2], y=Y)], "x got <f4 of shape (2,), expected <f4 of shape (3,) as in the first part"),
    "unequal lengths": ([npy(X)], "got the arrays 0, expected x_train and y_train, or x and y, or their names by inputs and label"),
}  # fmt: skip


@pytest.mark.parametrize("name", PARTS)
def test_several_objects(action, given, put, name):
    bodies, sentence = PARTS[name]
    given |= {"run": f"parts-{name.replace(' ', '-')}", "model": put("r/m.keras", MODELS["table"])}
    given["dataset"] = [put(f"r/{number}", body) for number, body in enumerate(bodies)]
    if sentence is None:  # columns are known by their names
        assert action("planner")(given)["run"] == given["run"]
    else:
        assert refusal(action, given) == f"dataset: s3://openwhisk-dl/r/0: {sentence}"


@pytest.mark.parametrize("parameter", ["test", "validation"])
@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        (csv(table(y=LETTERS[Y]).replace("alpha", "echo")), "column label: got the label 'echo', expected one of the training set's"),
        (csv(table(y=LETTERS[Y]).drop(columns="high")), "got the columns label, long, wide, expected high as asked for"),
        (csv(table()), "column label holds numbers (<i8), expected text as in training"),
        (lacking(5), "column wide has no value in 1 row, the first is row 6, expected one in each, or missing: drop, zero or mean"),
    ],
)  # fmt: skip
def test_a_held_out_set_of_other_columns(action, given, put, parameter, body, sentence):
    given |= {"model": put("r/m.keras", MODELS["table"]), "dataset": put("r/d", csv(table(y=LETTERS[Y])))}
    found = refusal(action, {**given, parameter: put("r/held", body)})
    assert found == f"{parameter}: s3://openwhisk-dl/r/held: {sentence}"


def test_a_dataset_that_is_replaced_while_it_is_split(action, given, put, monkeypatch):
    given |= {"model": put("r/m.keras", MODELS["table"]), "dataset": put("r/d", csv(table()))}
    run = action("planner")(given)["run"]
    dealt = dealing.deal_out

    def replaced(*given):
        files = dealt(*given)
        put("r/d", csv(table()[:59]))
        return files

    monkeypatch.setattr(dealing, "deal_out", replaced)
    with pytest.raises(RunError, match="expected .* as planned"):
        action("splitter")({"s3": given["s3"], "run": run})
