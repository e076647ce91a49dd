"""A run that real averages steer: rates and final model beside the same rules in plain Python on history.csv."""

import csv
import io
import json
from itertools import pairwise

import keras
import numpy as np
import pytest
from safetensors.numpy import load

from common.errors import ParameterError
from common.plan import plan as plans
from common.rounds import drive, pace, slices, warm_up
from common.storage import keys
from common.storage.run import Run
from common.training.model import Learner

from .test_evaluator import Job, monkeypatch_module  # noqa: F401 -- a fixture

RULE = {"factor": 0.5, "patience": 1, "min_delta": 0.02}


@pytest.fixture(scope="module")
def job(s3, action, tmp_path_factory, monkeypatch_module):  # noqa: F811
    monkeypatch_module.setenv("__OW_API_HOST", "http://127.0.0.1:9")  # does not answer: stock limits
    numbers = {"workers": 2, "epochs": 5, "rounds": 10, "batch_size": 16, "learning_rate": 0.2, "validation": 0.2}
    # the other way round, so that the best average surely is none of the last ones
    rules = {"keep_best": {"monitor": "loss", "mode": "max"}, "reduce_on_plateau": RULE}
    return Job(s3, action, tmp_path_factory.mktemp("steering"), "steering", **numbers, **rules)


@pytest.fixture(scope="module")
def result(job):
    return job.action("evaluator")(job.args)


@pytest.fixture(scope="module")
def history(job, result):
    rows = csv.DictReader(io.StringIO(job.read(keys.HISTORY).decode()))
    return [{name: float(cell) for name, cell in row.items()} for row in rows]


def test_rates_follow_from_the_history(history):
    rate, best, waited, expected = np.float32(0.2), np.inf, 0, [np.float32(0.2)] * 2
    for row in history[:-2]:
        waited = 0 if (better := row["val_loss"] + RULE["min_delta"] < best) else waited + 1
        best = row["val_loss"] if better else best
        if waited >= RULE["patience"]:
            rate, waited = np.float32(rate * RULE["factor"]), 0
        expected.append(rate)
    assert [row["learning_rate"] for row in history] == [float(rate) for rate in expected]
    assert expected[-1] < expected[0]


def test_the_final_model_is_the_best_of_the_history(job, result, history):
    found = [row["val_loss"] for row in history]
    best = max(number for number, value in enumerate(found, 1) if value == max(found))
    assert (result["stopped"]["rounds"], result["stopped"]["final"]) == (10, best)
    check_same(job.load("final.keras"), load(job.read(keys.model_key(best))))


def check_same(model, state):
    """Hold a plain Keras model to a state: weights, averages of layers, the optimizer."""
    groups = {"trainable.": model.trainable_variables, "weight.": model.non_trainable_weights}
    groups["optimizer."] = model.optimizer.variables
    for group, variables in groups.items():
        expected = [tensor for name, tensor in sorted(state.items()) if name.startswith(group)]
        assert [variable.numpy().tolist() for variable in variables] == [tensor.tolist() for tensor in expected]


def test_the_rate_of_a_round_is_in_its_state_and_in_the_final_model(job, result, history):
    for number in range(1, 11):
        state = load(job.read(keys.model_key(number)))
        (rate,) = [tensor for name, tensor in state.items() if name.endswith("learning_rate")]
        assert float(rate) == history[number - 1]["learning_rate"]
    final = job.load("final.keras")
    assert float(final.optimizer.learning_rate) == history[result["stopped"]["final"] - 1]["learning_rate"]


@pytest.mark.parametrize("number", [0, 7])
def test_any_rounds_average_is_saved_as_a_file(job, result, number):
    value = job.action("reducer")({**job.args, "round": number})
    said = job.action("trainer")(json.loads(json.dumps(value)))
    key = keys.file_key(number + 1)
    assert said == {"run": "steering", "round": number, "file": str(job.run.at(key))}
    check_same(job.load(key), load(job.read(keys.model_key(number + 1))))


@pytest.mark.parametrize("number", [10, -1, "1", 1.0, True])
def test_a_round_that_has_no_average_is_refused(job, number):
    with pytest.raises(ParameterError) as error:
        job.action("reducer")({**job.args, "round": number})
    assert str(error.value) == f"round: got {number!r}, expected 0..9, which are averaged"


def test_a_run_goes_on_from_what_another_came_to(job, result):
    args = {"s3": job.args["s3"], "run": "on-from-steering", "dataset": "evaluator/d.npz", "model": "run://steering"}
    job.action("planner")(args)
    run = Run(job.run.objects, "on-from-steering")
    (job.folder / "on.keras").write_bytes(run.objects.read(run.at(keys.INITIAL)))
    begun = Learner(job.folder / "on.keras").export_state()
    ended = load(job.read(keys.model_key(result["stopped"]["final"])))
    assert {name: tensor.tolist() for name, tensor in begun.items() if not name.startswith("seed.")} == {
        name: tensor.tolist() for name, tensor in ended.items() if not name.startswith("seed.")
    }
    assert max(int(tensor) for name, tensor in begun.items() if name.endswith("iteration")) > 0


def test_another_optimizer_begins_anew(job, result):
    asked = {"class_name": "SGD", "config": {"learning_rate": 0.05, "momentum": 0.9}}
    args = {"s3": job.args["s3"], "run": "on-by-sgd", "dataset": "evaluator/d.npz", "model": "run://steering"}
    job.action("planner")({**args, "optimizer": asked, "workers": 1, "epochs": 1, "rounds": 1, "batch_size": 32})
    run = Run(job.run.objects, "on-by-sgd")
    plan = plans.read(run)
    assert (plan.model.rate, plan.optimizer["class_name"]) == (0.05, "SGD")
    warm_up.give_up(run, None)
    job.action("splitter")({**args, "run": run.name})
    turn = drive.Turn("me", None, [], None, 1e12, pace.Limits(6000, 30))
    (value,) = slices.values(run, plan, drive.take(run, plan, turn)[0])
    job.action("trainer")(json.loads(json.dumps(value)))
    key = keys.state_key(0, 0, plan.schedule().steps(0, 0))
    found = load(run.objects.read(run.at(key)))
    plain = job.load("final.keras")
    plain.compile(keras.optimizers.SGD(0.05, momentum=0.9), "sparse_categorical_crossentropy", metrics=["accuracy"])
    data = plan.data(run.objects)
    x, y = (np.load(io.BytesIO(data.objects.read(data.at(keys.shard_key(0, name))))) for name in "xy")
    order, bounds = plan.schedule().order(0, 0)
    for first, last in pairwise(bounds):
        plain.train_on_batch(x[order[first:last]], y[order[first:last]])
    trained = [tensor for name, tensor in sorted(found.items()) if name.startswith("trainable.")]
    for ours, theirs in zip(trained, plain.trainable_variables, strict=True):
        np.testing.assert_allclose(ours, theirs.numpy(), atol=1e-5)
    slots = [name for name in found if name.startswith("optimizer.")]
    assert len(slots) == 2 + len(trained) and all("momentum" in name or "sgd" in name.lower() for name in slots)


def test_plain_keras_finds_the_same_numbers(job, result):
    expected = keras.models.load_model(job.file("final.keras")).evaluate(*job.test, verbose=0, return_dict=True)
    assert {"loss": result["loss"], **result["metrics"]} == pytest.approx(expected, abs=1e-6)
