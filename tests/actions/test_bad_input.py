"""Every bad input is refused by planner or splitter, before the first wave, in one sentence that says what came."""

import io
import json

import numpy as np
import pytest

from common.errors import AccessError, DlError, ParameterError
from common.plan import plan as plans

from .conftest import arrays, keras_file, npz


def without(name):
    held = arrays()
    del held[name]
    return held


def changed(name, value):
    return {**arrays(), name: value}


def npy(array):
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def with_nan(name):
    values = np.ones((200, 8, 8), np.float64)
    values[17, 3, 3] = np.nan
    return changed(name, values)


PARAMETERS = [
    ("workers", 0, "workers: got 0, expected 1..28"),
    ("workers", 40, "workers: got 40, expected 1..28"),
    ("workers", "four", "workers: got 'four', expected 1..28"),
    ("run", "../x", "run: got '../x', expected 1..64 of a-z, 0-9 and -"),
    ("run", "Ünïcode", "run: got 'Ünïcode', expected 1..64 of a-z, 0-9 and -"),
    ("wrokers", 4, "wrokers: got an unknown parameter, expected one of dataset"),
    ("$composer", {"state": 1}, "$composer: got an unknown parameter, expected one of dataset"),
    ("__ow_headers", {"authorization": "x"}, "__ow_headers: got an unknown parameter, expected one of dataset"),
    ("model", None, "model: got nothing, expected s3://bucket/key"),
    ("dataset", None, "dataset: got nothing, expected s3://bucket/key"),
    (
        "dataset",
        "s3://openwhisk-dl/data/none.npz",
        "dataset: s3://openwhisk-dl/data/none.npz: got no such object, expected an existing one",
    ),
    ("dataset", "s3://nowhere/mnist.npz", "dataset: s3://nowhere/mnist.npz: got no"),
    (
        "dataset",
        "file:///etc/passwd",
        "dataset: got 'file:///etc/passwd', expected s3://bucket/key or a key in bucket openwhisk-dl",
    ),
    (
        "model",
        "s3://openwhisk-dl/data/none.keras",
        "model: s3://openwhisk-dl/data/none.keras: got no such object, expected an existing one",
    ),
    ("model", "run://none", "model: got run none, which has no final model, expected one that is done"),
    ("model", "run://../x", "model: run: got '../x', expected 1..64 of a-z, 0-9 and -"),
    (
        "config",
        "s3://openwhisk-dl/none.json",
        "config: s3://openwhisk-dl/none.json: got no such object, expected an existing one",
    ),
    (
        "validation",
        "s3://openwhisk-dl/none.npz",
        "validation: s3://openwhisk-dl/none.npz: got no such object, expected an existing one",
    ),
    ("rounds", 3, "rounds: got 3, expected a multiple or a divisor of epochs (2)"),
    (
        "rounds",
        2000,
        "rounds: got 2000 (1000 a pass), expected at most one a batch: 132 for 2 epochs of 66 batches",
    ),
    ("parity", "yes", "parity: got 'yes', expected true or false"),
    ("optimizer_state", "none", "optimizer_state: got 'none', expected average or reset"),
    ("learning_rate", -1, "learning_rate: got -1, expected a number above 0"),
    ("weighting", "accuracy", "validation: got nothing, expected a fraction or a dataset, as weighting is accuracy"),
]

ONE_ARRAY = npy(np.zeros(3))

DATASETS = [
    (b"not a zip", "bad.npz: got an unknown format, expected .npz, .npy, CSV, JSON lines, Parquet, Arrow or images"),
    (b"", "bad.npz: got an empty object, expected .npz, .npy, CSV, JSON lines, Parquet, Arrow or images"),
    (npz(**arrays())[:5000], "File is not a zip file"),
    (
        npz(**without("y_train")),
        "got the arrays x_test, x_train, y_test, expected x_train and y_train, or x and y, or ",
    ),
    (npz(**without("x_test")), "got y_test without x_test, expected both or neither"),
    (npz(**changed("y_train", np.array([{}] * 200, object))), "y_train got dtype object (pickled objects), expected"),
    (npz(**changed("x_train", np.array(["a"] * 200))), "x_train got dtype <U1 (no numbers), expected numbers"),
    (npz(**changed("y_train", np.zeros(199, np.uint8))), "x_train got 200 examples and y_train 199, expected as many"),
    (npz(**changed("x_train", np.zeros((0, 8, 8)))), "x_train got shape (0, 8, 8), expected at least one example"),
    (npz(**changed("x_train", np.zeros((200, 9, 9)))), "its input is (8, 8), expected (9, 9) as in the dataset"),
    (npz(**changed("y_train", np.full(200, 0.5))), "y_train: got the label 0.5, expected whole numbers, the classes"),
    (npz(**changed("y_train", np.zeros((200, 2), int))), "expected class numbers of shape (), got shape (2,)"),
    (
        npz(**{**arrays(), "x_train": np.zeros((2, 8, 8)), "y_train": np.zeros(2, np.uint8)}),
        "workers: got 3, expected at",
    ),
    (npz(**with_nan("x_train")), "x_train: example 17 got NaN or infinity, expected finite numbers"),
    (
        npz(**changed("y_train", np.full(200, 9, np.uint8))),
        "y_train: got labels 9..9, expected 0..4 as the model gives",
    ),
    (npz(**changed("y_test", np.full(40, 9, np.uint8))), "y_test: got labels 9..9, expected 0..4 as the model gives"),
    (npz(**changed("x_test", np.zeros((40, 8, 8, 1)))), "x_test: got shape (8, 8, 1), expected (8, 8) as in training"),
]

MODELS = [
    (b"\x89PNG\r\n", "model: got no .keras file at s3://openwhisk-dl/data/bad.keras (File is not a zip file)"),
    (keras_file(shape=(32, 32, 3)), "model: its input is (32, 32, 3), expected (8, 8) as in the dataset"),
    (keras_file(compile_config=None), "model: got no optimizer and loss, expected a compiled model"),
    (keras_file(class_name="Evil"), "model: got class Evil, expected a Sequential or Functional model"),
    (keras_file(loss="categorical_crossentropy"), "expected labels of shape (5,), got ()"),
    (keras_file(steps=(8,)), "expected class numbers of shape (8,), got shape ()"),
]


def refusal(action, given):
    """Run planner and splitter as the pipeline does; return the sentence they refuse with."""
    with pytest.raises(DlError) as error:
        planned = action("planner")(given)
        action("splitter")({"s3": given["s3"], "run": planned["run"]})
    assert "\n" not in str(error.value) and len(str(error.value)) < 500
    return str(error.value)


def assert_refused(action, put, given, body, sentence):
    """Compare the refusal of a dataset with a sentence, in which `{at}` stands for where it is."""
    dataset = put("r/data", body)
    assert refusal(action, {**given, "dataset": dataset}) == sentence.format(at=f"dataset: {dataset}: ")


@pytest.mark.parametrize(("name", "value", "sentence"), PARAMETERS)
def test_a_parameter(action, given, s3, name, value, sentence):
    found = refusal(action, {**given, "s3": dict(s3.params), name: value})
    assert found.startswith(sentence)


def test_rounds_that_do_not_fit_the_passes_of_parity(action, given):
    found = refusal(action, {**given, "parity": True, "rounds": 4})
    assert found == "rounds: got 4, expected a multiple or a divisor of the passes that parity trains (3)"


@pytest.mark.parametrize(("body", "sentence"), DATASETS, ids=range(len(DATASETS)))
def test_a_dataset(action, given, s3, put, body, sentence):
    found = refusal(action, {**given, "s3": dict(s3.params), "dataset": put("data/bad.npz", body)})
    assert sentence in found
    assert not s3.client.list_objects_v2(Bucket=s3.bucket, Prefix=f"runs/{given['run']}/waves/").get("Contents")


@pytest.mark.parametrize(("body", "sentence"), MODELS, ids=range(len(MODELS)))
def test_a_model(action, given, s3, put, body, sentence):
    found = refusal(action, {**given, "s3": dict(s3.params), "model": put("data/bad.keras", body)})
    assert sentence in found


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        (b"{nope", "config: got no JSON at s3://openwhisk-dl/data/config.json"),
        (
            b"[]",
            "config: got something else at s3://openwhisk-dl/data/config.json, expected a JSON object of parameters",
        ),
        (json.dumps({"config": "x"}).encode(), "config: got something else"),
        (json.dumps({"workers": "many"}).encode(), "workers: got 'many', expected 1..28"),
        (json.dumps({"$composer": {}}).encode(), "$composer: got an unknown parameter"),
    ],
)
def test_a_config(action, given, s3, put, body, sentence):
    found = refusal(action, {"s3": dict(s3.params), "config": put("data/config.json", body)})
    assert found.startswith(sentence)


def test_weighting_by_an_accuracy_that_the_model_does_not_measure(action, given):
    found = refusal(action, {**given, "weighting": "accuracy", "validation": 0.2})
    assert found == "model: got no accuracy among its metrics, expected one as weighting is accuracy"


def test_a_damaged_member_is_found_by_its_checksum(action, given, s3, put):
    body = bytearray(npz(**arrays()))
    at = body.index(b"x_train.npy") + 3000
    body[at] ^= 0xFF
    found = refusal(action, {**given, "s3": dict(s3.params), "dataset": put("data/bad.npz", bytes(body))})
    assert "x_train is damaged" in found


def test_a_run_that_exists_with_other_parameters(action, given, s3, put):
    action("planner")(dict(given))
    assert refusal(action, {**given, "workers": 2}) == f"run {given['run']} exists with workers 3, got 2"
    put(given["dataset"].removeprefix("s3://openwhisk-dl/"), npz(**arrays(train=300)))
    assert f"run {given['run']} exists with another {given['dataset']}" in refusal(action, dict(given))


def test_a_run_of_another_releases_plan(action, given, s3):
    action("planner")(dict(given))
    at = {"Bucket": s3.bucket, "Key": f"runs/{given['run']}/plan.json"}
    held = json.loads(s3.client.get_object(**at)["Body"].read())
    s3.client.put_object(**at, Body=json.dumps({**held, "version": 1}).encode())
    expected = f"run {given['run']} exists with plan version 1, expected {plans.VERSION}: take a new name"
    for again in (given, {"s3": given["s3"], "run": given["run"]}):
        assert refusal(action, again) == expected


def test_wrong_keys_are_refused_without_a_word_of_them(action, given, s3):
    wrong = {**s3.params, "secret_key": "not-the-secret"}
    found = refusal(action, {**given, "s3": wrong})
    assert "not-the-secret" not in found and s3.access_key not in found
    with pytest.raises(AccessError):  # which nobody tries again
        action("planner")({**given, "s3": wrong})


def test_an_object_that_is_not_there_is_a_wrong_parameter(action, given):
    with pytest.raises(ParameterError, match="^dataset: .*: got no such object, expected an existing one$"):
        action("planner")({**given, "dataset": "data/none.npz"})


@pytest.mark.parametrize(
    ("parameter", "key", "body", "start"),
    [
        ("dataset", "d.h5", b"\x89HDF\r\n\x1a\n", "got an HDF5 file, expected .npz, .npy, CSV, JSON lines, Parquet, "),
        (
            "dataset",
            "d.npy",
            ONE_ARRAY,
            "got the arrays d, expected x_train and y_train, or x and y, or their names by",
        ),
        ("dataset", "d", None, "got a folder, expected one object, or the folder's name with / at its end"),
        ("test", "d.pkl", b"\x80\x04\x95", "got a pickle, which is never loaded here, expected .npz, .npy, CSV"),
        ("validation", "d.json", b'[{"a": 1}]', "got JSON that is not an object a line, expected .npz, .npy, CSV"),
        ("model", "m", None, "got a folder, expected a compiled .keras file"),
        (
            "model",
            "m.h5",
            b"\x89HDF\r\n\x1a\n model_config",
            "got an HDF5 model, expected a compiled .keras file: import",
        ),
    ],
)
def test_another_format(action, given, s3, put, parameter, key, body, start):
    at = put(f"formats/{key}", body) if body else f"s3://{s3.bucket}/formats/{key}"
    put(f"formats/{key.strip('/')}/inside.txt" if body is None else "formats/other", b"x")
    found = refusal(action, {**given, "s3": dict(s3.params), parameter: at})
    assert found.startswith(f"{parameter}: {at}: {start}")


def test_arrays_by_other_names(action, given, s3, put):
    body = npz(images=np.zeros((4, 8, 8)), kinds=np.zeros(4))
    found = refusal(action, {**given, "s3": dict(s3.params), "dataset": put("data/other.npz", body)})
    expected = "expected x_train and y_train, or x and y, or their names by inputs and label"
    assert found.endswith(f"got the arrays images, kinds, {expected}")


@pytest.mark.parametrize(
    ("held", "sentence"),
    [
        ((), "dataset: s3://openwhisk-dl/folder/: got 0 objects, expected 1..1000 in a folder"),
        (
            ("_SUCCESS", ".part-0.npz"),
            "dataset: s3://openwhisk-dl/folder/: got 0 objects, expected 1..1000 in a folder",
        ),
    ],
)
def test_a_folder_without_data(action, given, s3, put, held, sentence):
    for name in held:
        put(f"folder/{name}", b"x")
    assert refusal(action, {**given, "dataset": f"s3://{s3.bucket}/folder/"}) == sentence
