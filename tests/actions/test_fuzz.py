"""Seeded garbage for planner and splitter: whatever a file or a parameter holds, the error is one sentence of ours."""

import copy
import io
import json
import random
import tracemalloc
import zipfile

import numpy as np
import pytest

from common.errors import DlError
from common.plan import keras_file as keras_files
from common.plan import plan as plans
from common.storage import keys
from common.storage.objects import Objects
from common.storage.run import SPLIT_KEYS, Run

from .conftest import arrays, keras_file, npz

ARRAYS = ("x_train: ", "y_train: ", "x_test: ", "y_test: ")
VALUES = [
    None,
    True,
    -5,
    0,
    10**400,
    1.5,
    float("nan"),
    float("inf"),
    "",
    "nope",
    "a\nb",
    "x" * 5000,
    [],
    {},
    [[]],
    [None, -5],
]
DEEP = 200_000  # levels


def sentence(error):
    """Check that an error's text is one line, short, and begins with what it is about."""
    text = str(error)
    assert text.isprintable() and len(text) < 600, text[:700]
    return text


def attempt(action, given, about):
    """Plan and split; return the sentence of a refusal, empty where nothing was refused."""
    text = ""
    try:
        run = action("planner")(given)["run"]
        action("splitter")({"s3": given["s3"], "run": run})
    except DlError as error:
        text = sentence(error)
    assert not text or text.startswith(about), text
    return text


def places(value, path=()):
    """Yield the path of every value inside a configuration."""
    yield path
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, part in inside:
        yield from places(part, (*path, key))


def mutated(config, dice):
    """Return a configuration with one to three values dropped, replaced or nested."""
    config = copy.deepcopy(config)
    for _ in range(dice.randint(1, 3)):
        *above, last = dice.choice([path for path in places(config) if path])
        holder = config
        for key in above:
            holder = holder[key]
        if dice.random() < 0.3:
            del holder[last]
        else:
            holder[last] = copy.deepcopy(dice.choice([*VALUES, {"class_name": holder[last]}, [holder[last]]]))
        if not config:
            break
    return config


def model_file(text):
    """Return a `.keras` file with a config.json of one's own."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("config.json", text)
        archive.writestr("model.weights.h5", b"")
    return file.getvalue()


def functional():
    """Return a configuration of a Functional model, with losses and metrics in most forms."""
    held = json.loads(zipfile.ZipFile(io.BytesIO(keras_file())).read("config.json"))
    held["class_name"] = "Functional"
    held["config"] |= {"name": "m", "input_layers": [["i", 0, 0]], "output_layers": {"d": ["d", 0, 0]}}
    loss = {"module": "builtins", "class_name": "function", "config": "sparse_categorical_crossentropy"}
    metric = {"module": "keras.metrics", "class_name": "MeanMetricWrapper", "config": {"name": "m", "fn": loss}}
    held["compile_config"] |= {"loss": {"d": [loss]}, "metrics": {"d": ["accuracy", metric]}}
    return held


def sequential():
    """Return a configuration of a Sequential model."""
    return json.loads(zipfile.ZipFile(io.BytesIO(keras_file())).read("config.json"))


def refusal_of(path, body):
    """Write a model's file and read it as the planner does; return the sentence of a refusal."""
    path.write_bytes(body)
    try:
        held = keras_files.read(path, "s3://b/m.keras")
        labels = [()] * len(held.labelled)
        held = held.for_labels(labels)
        held.check_inputs([(8, 8)])
        held.check_labels(labels)
    except DlError as error:
        text = sentence(error)
        assert text.startswith(("model: ", "loss", "metric")), text
        return text
    return None


@pytest.mark.parametrize("kind", [sequential, functional])
def test_a_models_configuration(tmp_path, kind):
    dice, config = random.Random(kind.__name__), kind()
    assert refusal_of(tmp_path / "m", model_file(json.dumps(config))) is None
    bodies = (model_file(json.dumps(mutated(config, dice))) for _ in range(600))
    assert sum(refusal_of(tmp_path / "m", body) is not None for body in bodies) > 200


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[" * DEEP + "]" * DEEP, "recursion"),
        ('{"class_name": ' * DEEP + "1" + "}" * DEEP, "recursion"),
        ("nope", "Expecting value"),
        ('{"a": 1' + "0" * 5000 + "}", "digits"),
        ("", "Expecting value"),
        ("\xff\xfe", ""),
        ("null", "got class NoneType"),
        ("3", "got class int"),
        ('"x"', "got class str"),
        (json.dumps({"class_name": ["a"] * 10**5}), "got class ["),
    ],
)
def test_what_is_no_configuration(tmp_path, text, words):
    assert words in refusal_of(tmp_path / "m", model_file(text))


def test_a_hundred_thousand_layers_are_refused_before_they_are_held(tmp_path):
    config = sequential()
    config["config"]["layers"] *= 33_334
    body = model_file(json.dumps(config))
    tracemalloc.start()
    assert refusal_of(tmp_path / "m", body).startswith(
        "model: got no .keras file at s3://b/m.keras (a config.json above 4"
    )
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 40 << 20


def test_as_many_layers_as_fit_are_read(tmp_path):
    config = sequential()
    layer = config["config"]["layers"][1]
    config["config"]["layers"][1:1] = [layer] * ((keras_files.CONFIG_BYTES - 2000) // len(json.dumps(layer) + ", "))
    (tmp_path / "m").write_bytes(model_file(json.dumps(config)))
    assert keras_files.read(tmp_path / "m", "m").outputs[0].classes == 5


def damaged(body, dice):
    """Return a file with some bytes changed, cut or doubled; more often where its ends are."""
    body = bytearray(body)
    for _ in range(dice.randint(1, 4)):
        at = dice.choice(
            [dice.randrange(len(body)), dice.randrange(min(200, len(body))), -1 - dice.randrange(min(400, len(body)))]
        )
        body[at] = dice.choice([0, 0xFF, dice.randrange(256)])
    if dice.random() < 0.2:
        del body[dice.randrange(len(body)) :]
    return bytes(body) * (2 if dice.random() < 0.1 else 1)


def test_a_models_bytes(tmp_path):
    dice, body = random.Random(2), keras_file()
    bodies = (damaged(body, dice) for _ in range(600))
    assert sum(refusal_of(tmp_path / "m", body) is not None for body in bodies) > 200


def header(shape="(200, 8, 8)", descr="'|u1'", version=b"\x01\x00", **more):
    """Return an .npy file's head by its parts, well-formed or not."""
    text = more.get("text", f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}\n").encode()
    length = more.get("length", len(text)).to_bytes(2 if version == b"\x01\x00" else 4, "little")
    return more.get("magic", b"\x93NUMPY") + version + length + text


HEADERS = [
    header(shape="(-5,)"),
    header(shape="(200, -8, 8)"),
    header(shape="(4611686018427387904, 4611686018427387904)"),
    header(shape="(200, 4611686018427387904, 4611686018427387904)"),
    header(shape="(1, 1000000000)"),
    header(shape="(24000001, 8)"),
    header(shape="(" + "1, " * 40 + ")"),
    header(shape="()"),
    header(shape="(200, 0)"),
    header(shape="(True, 8, 8)"),
    header(shape="(2.0, 8)"),
    header(shape="[200, 8, 8]"),
    header(shape="1" + "0" * 5000),
    header(shape="(" * 300 + ")" * 300),
    header(descr="'|O'"),
    header(descr="[('a', '<f4')]"),
    header(descr="'<M8[ns]'"),
    header(descr="'<f16'", shape="(1,)"),
    header(descr="None"),
    header(descr="'nope'"),
    header(text="{'descr': '|u1'}"),
    header(text="nope"),
    header(text="{" * 200),
    header(text="''" + "'"),
    header(text=""),
    header(magic=b"\x93NUMPX"),
    header(version=b"\x03\x00"),
    header(version=b"\x09\x09"),
    header(version=b"\x02\x00", length=200_000_000),
    header(version=b"\x02\x00", length=4_294_967_295),
    header(text="{'descr': '|u1', 'fortran_order': True, 'shape': (200, 8, 8), }" + " " * 20_000),
    b"",
    b"\x93NUM",
]


def with_member(name, body):
    """Return an .npz whose array `name` is these bytes."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for other, array in arrays().items():
            with archive.open(f"{other}.npy", "w") as member:
                member.write(body) if other == name else np.lib.format.write_array(member, array)
    return file.getvalue()


@pytest.mark.parametrize("name", ["x_train", "y_test"])
def test_an_arrays_header(action, given, put, name):
    for number, head in enumerate(HEADERS):
        run = {**given, "dataset": put("fuzz/header.npz", with_member(name, head + bytes(1000)))}
        found = attempt(action, run, ("dataset: ",))
        assert found and name in found, (number, found)


def test_a_datasets_bytes(action, given, put, s3):
    dice, body, refused = random.Random(3), npz(**arrays(train=40, test=8)), 0
    for number in range(60):
        run = {**given, "dataset": put("fuzz/bytes.npz", damaged(body, dice)), "run": f"fuzz-bytes-{number}"}
        refused += attempt(action, run, (*ARRAYS, "dataset: ", "model: ")) != ""
    assert refused > 20


def test_a_table_of_contents_that_is_too_long(action, given, put, tmp_path):
    body = io.BytesIO()
    with zipfile.ZipFile(body, "w") as archive:
        for number in range(40):
            member = zipfile.ZipInfo(f"{number}.npy")
            member.comment = bytes(60_000)
            archive.writestr(member, b"")
    tracemalloc.start()
    found = attempt(action, {**given, "dataset": put("fuzz/contents.npz", body.getvalue())}, ("dataset: ",))
    assert "a table of contents above 2 MB" in found
    assert "a table of contents above 2 MB" in refusal_of(tmp_path / "m", body.getvalue())
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < len(body.getvalue()) + (20 << 20)


NAMES = ["dataset", "model", "validation", "config", "run", "workers", "epochs", "parity", "rounds", "batch_size"]
NAMES += ["local_batch_size", "learning_rate", "outer_momentum", "optimizer_state", "weighting", "seed"]
NAMES += ["label", "inputs", "missing", "image_size", "test", "sample_weight", "class_weight", "group"]


def test_parameters(action, given):
    dice = random.Random(4)
    for _ in range(300):
        changes = {
            dice.choice([*NAMES, "nope", "a\nb"]): dice.choice(
                [*VALUES, 3, "x\n", "s3://b/" + "k" * 2000, "s3://b/a\nb"]
            )
        }
        run = {**given, **changes, "run": changes.get("run", given["run"])}
        try:
            action("planner")(run)
        except DlError as error:
            name = next(iter(changes))
            text = sentence(error)
            assert text.startswith((name[:1], "'", "run", "validation", "dataset: ")), text


CONFIGS = [
    b"[" * DEEP,
    b'{"seed": ' * DEEP,
    b'{"seed": 1' + b"0" * 5000 + b"}",
    b'{"seed": 1' + b"0" * 400 + b"}",
    b'{"learning_rate": 1' + b"0" * 400 + b"}",
    b'{"learning_rate": NaN}',
    b'{"learning_rate": 1e999}',
    b'{"start": 1}',
    b'{"a\\nb": 1}',
    b"3",
    b"\xff\xfe",
    b"",
    b'{"seed": 1}' + b" " * (2 << 20),
]


@pytest.mark.parametrize("body", CONFIGS, ids=range(len(CONFIGS)))
def test_a_config_object(action, given, put, body):
    found = attempt(
        action,
        {"s3": given["s3"], "config": put("fuzz/config.json", body)},
        ("config: ", "seed", "learning_rate", "start", "a"),
    )
    assert found


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"3", b"null", b"nope", b"{}", b'{"version": 5}', b"[" * DEEP], ids=range(8)
)
@pytest.mark.parametrize("key", ["plan.json", "split.json"])
def test_a_runs_documents(action, given, put, key, body):
    action("planner")(dict(given))
    put(f"runs/{given['run']}/{key}", body)
    if key == "plan.json":
        assert attempt(action, {"s3": given["s3"], "run": given["run"]}, (f"run {given['run']}", "dataset: "))
        with pytest.raises(DlError) as error:
            action("splitter")({"s3": given["s3"], "run": given["run"]})
        assert sentence(error.value).startswith("run")


def test_the_documents_keys_are_those_that_are_written(action, given):
    action("planner")(dict(given))
    action("splitter")({"s3": given["s3"], "run": given["run"]})
    run = Run(Objects(given["s3"]), given["run"])
    assert set(run.find_json(keys.PLAN)) == set(plans.NAMES) and set(run.split()) == set(SPLIT_KEYS)
