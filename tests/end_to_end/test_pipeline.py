"""The main job, as a data scientist meets it: results, repeatability, bad input, status, cancelling, resuming."""

import io
import json
import re
import time

import numpy as np
import pytest

from common.plan import plan as plans

from .conftest import PARAMETERS, at_first


def load(deployed, run, folder):
    import keras

    path = folder / "final.keras"
    deployed.objects.download(deployed.run(run).at("final.keras"), path)
    return keras.models.load_model(path, safe_mode=True)


def test_the_report_is_what_plain_keras_measures(deployed, trained, dataset, tmp_path):
    with np.load(io.BytesIO(dataset), allow_pickle=False) as held:
        x, y = held["x_test"], held["y_test"]
    loss, accuracy = load(deployed, "undisturbed", tmp_path).evaluate(x, y, verbose=0)
    assert trained["accuracy"] == pytest.approx(accuracy, abs=1e-6)
    assert trained["loss"] == pytest.approx(loss, abs=1e-5)
    assert trained["accuracy"] > 0.9


def test_the_result_says_what_was_done(deployed, trained):
    assert trained["run"] == "undisturbed"
    assert [row["round"] for row in trained["rounds"]] == [0, 1]
    assert trained["final"] == f"s3://{deployed.bucket.bucket}/runs/undisturbed/final.keras"
    assert set(trained["seconds"]) >= {"split", "train", "evaluate"}
    assert trained["activations"] >= 10 and trained["gb_seconds_estimated"] > 0
    assert deployed.attempts("undisturbed") == at_first(rounds=2, lanes=3)
    keys = deployed.run("undisturbed").sizes("")
    assert {
        "plan.json",
        "initial.keras",
        "split.json",
        "final.keras",
        "history.csv",
        "report.json",
        "report.html",
    } <= set(keys)


def test_the_same_seed_gives_the_same_weights_and_another_seed_others(deployed, trained):
    again, other = deployed.start(run="again", **PARAMETERS), deployed.start(run="other", **PARAMETERS, seed=1)
    assert deployed.finish(again)["weights_sha256"] == trained["weights_sha256"]
    assert deployed.finish(other)["weights_sha256"] != trained["weights_sha256"]


def test_a_finished_run_returns_its_result_again_and_refuses_other_parameters(deployed, trained):
    assert deployed.train("undisturbed") == trained
    assert deployed.train("undisturbed", workers=2) == {"error": "run undisturbed exists with workers 3, got 2"}


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"workers": 40}, "workers: got 40, expected 1..28"),
        ({"dataset": "data/none.npz"}, "got no such object, expected an existing one"),
        ({"model": "data/shapes.npz"}, "model: got no .keras file at data/shapes.npz"),
        ({"dataset": "data/nan.npz"}, "x_train: example 7 got NaN or infinity, expected finite numbers"),
    ],
)
def test_bad_input_ends_with_one_sentence_and_without_a_wave(deployed, changes, sentence):
    x = np.zeros((100, 24, 24), np.float32)
    x[7, 1, 1] = np.inf
    file = io.BytesIO()
    y = np.zeros(100, np.uint8)
    np.savez(file, x_train=x, y_train=y, x_test=x, y_test=y)
    deployed.put("data/nan.npz", file.getvalue())
    run = "bad-" + re.sub(r"[^a-z0-9]+", "-", sentence.partition(":")[0].lower())
    result = deployed.train(run, **changes)
    assert sentence in result["error"] and "\n" not in result["error"]
    assert deployed.attempts(run) == []


def test_a_config_in_the_store_starts_a_run_and_direct_parameters_beat_it(deployed, trained):
    deployed.put("data/config.json", json.dumps({**PARAMETERS, "workers": 2, "epochs": 1, "rounds": 1}).encode())
    result = deployed.finish(deployed.start(config="data/config.json", run="configured", workers=1))
    plan = plans.read(deployed.run("configured"))
    assert (plan.workers, plan.rounds, len(result["rounds"])) == (1, 1, 1)


def test_a_label_for_every_step(deployed, tmp_path):
    import keras
    from keras import layers

    model = keras.Sequential([keras.Input((9,)), layers.Embedding(20, 8), layers.GRU(6, return_sequences=True)])
    model.add(layers.Dense(3, "softmax"))
    model.compile(keras.optimizers.Adam(0.02), "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.save(tmp_path / "steps.keras")
    x = np.random.default_rng(5).integers(0, 20, (3000, 9))
    held = {"x_train": x[:900], "y_train": x[:900] % 3, "x_test": x[900:], "y_test": x[900:] % 3}
    np.savez(tmp_path / "steps.npz", **held)
    for name in ("steps.keras", "steps.npz"):
        deployed.put(f"data/{name}", (tmp_path / name).read_bytes())
    found = deployed.train("steps", dataset="data/steps.npz", model="data/steps.keras")
    loss, accuracy = load(deployed, "steps", tmp_path).evaluate(held["x_test"], held["y_test"], verbose=0)
    assert (found["loss"], found["accuracy"]) == pytest.approx((loss, accuracy), abs=1e-5)
    assert found["accuracy"] > 0.5


def test_status_follows_a_run_and_cancels_it_and_the_run_goes_on_to_the_same_end(deployed, trained):
    activation = deployed.start(run="cancelled", **PARAMETERS)
    wait(lambda: deployed.attempts("cancelled"))
    running = status(deployed, "-p", "run", "cancelled", "-p", "cancel", "true")
    assert running["phase"] in ("training", "cancelling") and running["wave"] in (0, 1) and running["lanes"] == 3
    assert deployed.finish(activation) == {"error": "run cancelled was cancelled"}
    after = status(deployed, "-p", "run", "cancelled")
    assert (after["phase"], after["failure"]) == ("failed", "run cancelled was cancelled")
    assert deployed.train("cancelled")["weights_sha256"] == trained["weights_sha256"]
    done = status(deployed, "-p", "run", "cancelled")
    assert (done["phase"], done["failure"]) == ("done", "run cancelled was cancelled")
    assert "cancelled" in [row["run"] for row in status(deployed)["runs"]]


def status(deployed, *flags):
    said = deployed.wsk("action", "invoke", "dl/status", "-r", *flags)
    assert said.returncode == 0, said.stderr
    return json.loads(said.stdout)


def wait(condition, seconds=60):
    end = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.02)
    return found
