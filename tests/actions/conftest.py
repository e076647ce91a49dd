"""What the actions' tests share: a small dataset and a model's file in a real object store, and the actions by name."""

import importlib.util
import inspect
import io
import json
import zipfile
from pathlib import Path

import numpy as np
import pytest

from common.plan import plan as plans
from common.rounds.throttle import FOLDER
from common.storage import keys
from common.storage.objects import Location, Objects
from common.storage.run import Run

ACTIONS = Path(__file__).resolve().parents[2] / "actions"


def load(name):
    """Import an action as a module of its own name, as its container does."""
    spec = importlib.util.spec_from_file_location(f"{name}__", ACTIONS / name / "__main__.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(autouse=True)
def stock_limits(monkeypatch):
    """Name a platform that does not answer: its limits are taken for the stock ones."""
    monkeypatch.setenv("__OW_API_HOST", "http://127.0.0.1:9")


def alone(s3):
    """Return the store, without traces of other tests' live runs: some live in another hour."""
    objects = Objects(s3.params)
    for key in objects.sizes(FOLDER):
        objects.delete(Location(objects.bucket, key))
    return objects


@pytest.fixture
def throttle(s3):
    """Give a namespace in which no other test's run is alive."""
    return alone(s3)


@pytest.fixture(scope="session")
def action():
    """Give an action's `main` by name, as it is written: what it raises has not become the platform's text yet."""
    return lambda name: inspect.unwrap(load(name).main)


def arrays(train=200, test=40, classes=5):
    """Return a dataset whose examples are all different."""
    random = np.random.default_rng(0)
    return {
        "x_train": random.integers(0, 256, (train, 8, 8), np.uint8),
        "y_train": (np.arange(train) % classes).astype(np.uint8),
        "x_test": random.integers(0, 256, (test, 8, 8), np.uint8),
        "y_test": (np.arange(test) % classes).astype(np.uint8),
    }


def npz(**values):
    """Return an .npz file's bytes."""
    file = io.BytesIO()
    np.savez_compressed(file, **values)
    return file.getvalue()


def keras_file(shape=(8, 8), units=5, loss="sparse_categorical_crossentropy", steps=(), **changes):
    """Return a `.keras` file's bytes as far as the planner reads them; its weights are no weights."""
    built = {"input_shape": [None, *steps, 64]}
    dense = {"module": "keras.layers", "class_name": "Dense", "config": {"name": "d", "units": units}}
    layers = [
        {"module": "keras.layers", "class_name": "InputLayer", "config": {"name": "i", "batch_shape": [None, *shape]}},
        {"module": "keras.layers", "class_name": "Flatten", "config": {"name": "f"}},
        {**dense, "build_config": built},
    ]
    config = {
        "module": "keras",
        "class_name": "Sequential",
        "config": {"layers": layers},
        "compile_config": {"optimizer": {"module": "keras.optimizers", "class_name": "Adam"}, "loss": loss},
        **changes,
    }
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr(zipfile.ZipInfo("config.json"), json.dumps(config))
        archive.writestr(zipfile.ZipInfo("model.weights.h5"), b"weights")
    return file.getvalue()


@pytest.fixture
def new_run(action, given):
    """Give a function that plans and splits this test's run."""

    def make(**changes):
        planned = action("planner")({**given, **changes})
        run = Run(Objects(given["s3"]), planned["run"])
        for lane in range(plans.read(run).workers):
            run.create_json(keys.warm_key(lane), {})  # as warm trainers say
        action("splitter")({"s3": given["s3"], "run": planned["run"]})
        return run

    return make


@pytest.fixture
def put(s3):
    """Give a function that writes an object and returns its address."""

    def write(key, body):
        s3.client.put_object(Bucket=s3.bucket, Key=key, Body=body)
        return f"s3://{s3.bucket}/{key}"

    return write


@pytest.fixture
def given(s3, put, request, throttle):
    """Give valid parameters of a run of this test's own name, dataset and model in place."""
    name = "".join(c if c.isalnum() else "-" for c in request.node.name.lower())[-60:].strip("-")
    return {
        "s3": s3.params,
        "run": name,
        "dataset": put(f"data/{name}.npz", npz(**arrays())),
        "model": put(f"data/{name}.keras", keras_file()),
        "workers": 3,
        "epochs": 2,
        "batch_size": 16,
    }


def saved(path, *inputs, units=4):
    """Save a compiled network of some inputs; those of text are looked up."""
    import keras
    from keras import layers

    looked = layers.StringLookup(vocabulary=["a", "two words"], output_mode="multi_hot")
    parts = [layers.Flatten()(looked(one) if one.dtype == "string" else one) for one in inputs]
    answer = layers.Dense(units)(layers.Concatenate()(parts) if len(parts) > 1 else parts[0])
    model = keras.Model(list(inputs) if len(inputs) > 1 else inputs[0], answer)
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    model.save(path)
    return path.read_bytes()


UNITS = {"kind": 4, "again": 4, "size": 2, "sold": 1}
SPARSE = "sparse_categorical_crossentropy"


def labelled(path, losses):
    """Save a network of outputs of these names, each with its loss, if any."""
    import keras

    entry = keras.Input((3,), name="in0")
    outputs = [keras.layers.Dense(UNITS[name], "sigmoid", name=name)(entry) for name in losses]
    model = keras.Model(entry, outputs)
    model.compile("sgd", [*losses.values()])
    model.save(path)
    return path.read_bytes()


@pytest.fixture
def three(given, put, tmp_path):
    """Give parameters of a run on a model of three outputs."""
    losses = {"kind": SPARSE, "size": "mse", "sold": "binary_crossentropy"}
    return {**given, "model": put("labels/three.keras", labelled(tmp_path / "m.keras", losses))}


@pytest.fixture
def two(given, put, tmp_path):
    """Give parameters of a run on a model of two inputs, left and right."""
    import keras

    body = saved(tmp_path / "m.keras", keras.Input((2,), name="left"), keras.Input((1,), name="right"))
    return {**given, "model": put("inputs/two.keras", body)}


@pytest.fixture
def text(given, put, tmp_path):
    """Give parameters of a run on a model of two texts an example and one of a number."""
    import keras

    said = keras.Input((2,), name="said", dtype="string")
    return {**given, "model": put("inputs/text.keras", saved(tmp_path / "m.keras", said, keras.Input((1,), name="n")))}
