"""The same data in several formats, through wsk to the trained model: the same weights to the bit."""

import gzip
import io
import json
import subprocess
import sys

import keras
import numpy as np
import pandas
import pytest
from keras import layers
from tests.archives import encoded, zipped

from common.storage import keys, state
from services import ROOT

SMALL = {"workers": 2, "epochs": 4, "rounds": 2, "batch_size": 16}
KINDS = np.array(["low", "mid", "top"])  # in sorted order


def saved(folder, *body):
    keras.utils.set_random_seed(4)
    network = keras.Sequential([*body, layers.Dense(3)])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    network.compile(keras.optimizers.Adam(0.02), loss, metrics=["accuracy"])
    network.save(folder / "m.keras")
    return (folder / "m.keras").read_bytes()


def npz(**arrays):
    file = io.BytesIO()
    np.savez(file, **arrays)
    return file.getvalue()


def parquet(frame):
    file = io.BytesIO()
    frame.to_parquet(file)
    return file.getvalue()


@pytest.fixture(scope="module")
def table(deployed, tmp_path_factory):
    """Give a table of numbers and a label of text, in three formats; its model is in the store."""
    x = np.random.default_rng(2).normal(size=(600, 4)).astype(np.float32)
    frame = pandas.DataFrame(x, columns=list("abcd")).assign(label=KINDS[np.digitize(x.sum(axis=1), [-1, 1])])
    body = saved(tmp_path_factory.mktemp("table"), keras.Input((4,)), layers.Dense(16, "relu"))
    deployed.put("data/table.keras", body)
    deployed.put("data/table.npz", npz(x=x, y=frame["label"].to_numpy().astype("U")))
    deployed.put("data/parts/0.csv.gz", gzip.compress(frame[:250].to_csv(index=False).encode()))
    deployed.put("data/parts/1.csv.gz", gzip.compress(frame[250:].to_csv(index=False).encode()))
    deployed.put("data/table.parquet", parquet(frame))


def test_tables(deployed, table):
    given = {"dataset": "data/table.npz", "model": "data/table.keras", **SMALL}
    first = deployed.train("table-npz", **given)
    assert first["accuracy"] > 0.7 and "10% of it is held out" in first["warnings"][0]
    for run, dataset in (("table-csv", "data/parts/"), ("table-parquet", "data/table.parquet")):
        found = deployed.train(run, **{**given, "dataset": dataset})
        assert (found["weights_sha256"], found["accuracy"]) == (first["weights_sha256"], first["accuracy"])
    last = deployed.train("table-end", **given, evaluate="end")
    assert (last["weights_sha256"], last["validation"]) == (first["weights_sha256"], None)
    assert [{name for name in row if name.startswith("val_")} for row in last["rounds"]] == [set(), set()]
    assert all(row["val_loss"] > 0 and 0.3 < row["val_accuracy"] <= 1 for row in first["rounds"]), first["rounds"]
    names = deployed.objects.read(deployed.run("table-csv").at(keys.CLASSES))
    assert json.loads(names) == KINDS.tolist()


def test_a_goal_ends_training_with_the_average_that_met_it(deployed, table, tmp_path):
    given = {"dataset": "data/table.npz", "model": "data/table.keras", **SMALL, "epochs": 8, "rounds": 8}
    found = deployed.train("goal", **given, validation=0.2, goal={"accuracy": 0.4})
    stopped = found["stopped"]
    reached = [number for number, row in enumerate(found["rounds"], 1) if (row["val_accuracy"] or 0) >= 0.4]
    assert (stopped["final"], stopped["rounds"]) == (reached[0], reached[0] + 1), found
    assert stopped["reason"].startswith(f"goal: val_accuracy of round {reached[0] - 1} is 0.")
    assert found["passes"] == len(found["rounds"]) == stopped["rounds"]
    run = deployed.run("goal")
    deployed.objects.download(run.at(keys.model_key(stopped["final"])), tmp_path / "state")
    tensors = {n: t for n, t in state.load(tmp_path / "state")[0].items() if n.startswith(("trainable", "weight"))}
    assert state.digest(tensors) == found["weights_sha256"]


def test_weights_of_classes_reach_the_trainers(deployed, table, tmp_path):
    given = {"dataset": "data/table.parquet", "model": "data/table.keras", **SMALL}
    found = deployed.train("weighted", class_weight={"low": 0, "mid": 0, "top": 1}, **given)
    assert "error" not in found, found
    deployed.objects.download(deployed.run("weighted").at(keys.FINAL), tmp_path / "weighted.keras")
    x = np.random.default_rng(3).normal(size=(50, 4)).astype(np.float32)
    assert (keras.models.load_model(tmp_path / "weighted.keras").predict(x, verbose=0).argmax(axis=1) == 2).mean() > 0.9


def test_images(deployed, tmp_path):
    random = np.random.default_rng(5)
    labels = np.arange(300) % 3
    images = random.integers(0, 100, (300, 6, 6, 1), np.uint8)
    for image, label in zip(images, labels, strict=True):
        image[2 * label : 2 * label + 2] += 120  # a bright band, at another height for each class
    body = saved(tmp_path, keras.Input((6, 6, 1)), layers.Rescaling(1 / 255), layers.Flatten())
    deployed.put("data/images.keras", body)
    arrays = {"x_train": images[:240], "x_test": images[240:]}
    deployed.put("data/images.npz", npz(**arrays, y_train=KINDS[labels[:240]], y_test=KINDS[labels[240:]]))
    named = [
        (f"{'train' if k < 240 else 'test'}/{KINDS[y]}/{k}.png", one)
        for k, (y, one) in enumerate(zip(labels, images, strict=True))
    ]
    deployed.put("data/images.zip", zipped({name: encoded(one) for name, one in named}))
    given = {"model": "data/images.keras", **SMALL}
    first, second = (
        deployed.train(f"images-{kind}", dataset=f"data/images.{kind}", **given) for kind in ("npz", "zip")
    )
    assert first["accuracy"] > 0.8 and first["accuracy"] == second["accuracy"]
    assert first["weights_sha256"] == second["weights_sha256"]


def test_several_outputs(deployed, tmp_path):
    x = np.random.default_rng(7).normal(size=(600, 4)).astype(np.float32)
    kind, price = KINDS[np.digitize(x.sum(axis=1), [-1, 1])], x[:, 0] * 2 + x[:, 1]
    entry = keras.Input((4,))
    body = layers.Dense(16, "relu")(entry)
    outputs = {"price": layers.Dense(1)(body), "kind": layers.Dense(3, "softmax")(body)}
    network = keras.Model(entry, outputs)
    losses = {"price": "mse", "kind": "sparse_categorical_crossentropy"}
    metrics = {"price": ["mae"], "kind": ["accuracy", "sparse_top_k_categorical_accuracy"]}
    network.compile(keras.optimizers.Adam(0.02), losses, {"price": 0.2, "kind": 1.0}, metrics)
    network.save(tmp_path / "m.keras")
    deployed.put("data/outputs.keras", (tmp_path / "m.keras").read_bytes())
    frame = pandas.DataFrame(x, columns=list("abcd")).assign(price=price, kind=kind)
    deployed.put("data/outputs.csv", frame[:450].to_csv(index=False).encode())
    deployed.put("data/held.csv", frame[450:].to_csv(index=False).encode())
    given = {"dataset": "data/outputs.csv", "test": "data/held.csv", "model": "data/outputs.keras", **SMALL}
    rules = {"validation": 0.2, "keep_best": {"monitor": "loss", "mode": "max"}, "reduce_on_plateau": {"patience": 0}}
    found = deployed.train("outputs", **given, **rules)
    assert "error" not in found, found
    deployed.objects.download(deployed.run("outputs").at(keys.FINAL), tmp_path / "final.keras")
    labels = {"price": price[450:], "kind": np.searchsorted(KINDS, kind[450:])}
    expected = keras.models.load_model(tmp_path / "final.keras").evaluate(x[450:], labels, verbose=0, return_dict=True)
    assert {"loss": found["loss"], **found["metrics"]} == pytest.approx(expected, rel=1e-5)
    assert found["accuracy"] == found["metrics"]["kind_accuracy"] > 0.7
    assert found["stopped"]["final"] == 1  # the worse average, as asked: an earlier one than the last is final
    said = deployed.wsk("action", "invoke", "dl/model", "-r", "-p", "run", "outputs", "-p", "round", "0")
    assert json.loads(said.stdout)["file"].endswith("runs/outputs/rounds/00001/model.keras"), said
    file = deployed.objects.read(deployed.run("outputs").at(keys.file_key(1)))
    assert file == (tmp_path / "final.keras").read_bytes()


def test_a_column_of_text_among_the_inputs_is_one_sentence(deployed, table):
    frame = pandas.DataFrame({"a": [1.5, 2], "town": ["Ulm", "Bonn"], "label": ["low", "mid"]})
    deployed.put("data/text.csv", frame.to_csv(index=False).encode())
    found = deployed.train("text", dataset="data/text.csv", model="data/table.keras", **SMALL)
    at = f"dataset: s3://{deployed.bucket.bucket}/data/text.csv"
    assert found == {"error": f"{at}: column town holds text, expected numbers: leave it out by inputs"}


EXAMPLES = [("wine", "Barbera", 0.85), ("images", "eight", 0.93), ("series", "falls", 0.8)]


@pytest.mark.parametrize(("folder", "first", "least"), EXAMPLES)
def test_an_example_as_its_page_says(deployed, tmp_path, folder, first, least):
    page = (ROOT / "examples" / folder / "README.md").read_text()
    lines = [line[2:].split() for line in page.splitlines() if line.startswith("$ ")]
    for _, script, target in lines[:2]:
        subprocess.run([sys.executable, ROOT / script, tmp_path / target], check=True, capture_output=True)
        deployed.put(f"data/{target}", (tmp_path / target).read_bytes())
    words = lines[3][lines[3].index("dl-pipeline") + 1 :]
    said = deployed.wsk("action", "invoke", "dl-pipeline", *words)
    found = deployed.finish(said.stdout.split()[-1])
    assert found["accuracy"] > least, found
    names = json.loads(deployed.objects.read(deployed.run(found["run"]).at(keys.CLASSES)))
    assert names[0] == first
