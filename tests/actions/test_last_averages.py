"""The mean of the last averages of a real training beside NumPy, and what plain Keras finds of it."""

import keras
import numpy as np
import pytest
from safetensors.numpy import load

from common.plan.schedule import sample
from common.storage import keys

from .test_evaluator import Job, monkeypatch_module  # noqa: F401 -- a fixture

NUMBERS = (2, 3, 4)


@pytest.fixture(scope="module")
def job(s3, action, tmp_path_factory, monkeypatch_module):  # noqa: F811
    monkeypatch_module.setenv("__OW_API_HOST", "http://127.0.0.1:9")  # does not answer: stock limits
    numbers = {"workers": 2, "epochs": 2, "rounds": 4, "batch_size": 16, "seed": 5, "average_last": 3}
    return Job(s3, action, tmp_path_factory.mktemp("last"), "last-averages", **numbers)


@pytest.fixture(scope="module")
def result(job):
    return job.action("evaluator")(job.args)


def test_the_final_model_is_the_mean(job, result):
    states = [load(job.read(keys.model_key(number))) for number in NUMBERS]
    names = sorted(states[0])
    trained = [name for name in names if name.startswith("trainable.")]
    expected = [np.mean([np.float64(state[name]) for state in states], axis=0).astype("f4") for name in trained]
    final = job.load("final.keras")
    assert [weight.numpy().tolist() for weight in final.trainable_weights] == [one.tolist() for one in expected]
    mean, variance = (next(name for name in names if f"moving_{kind}" in name) for kind in ("mean", "variance"))
    means, variances = (np.float64([state[name] for state in states]) for name in (mean, variance))
    together = variances.mean(axis=0) + means.var(axis=0)  # the law of total variance
    found = [weight.numpy() for weight in final.non_trainable_weights]
    assert np.allclose(found[0], means.mean(axis=0), rtol=1e-6) and np.allclose(found[1], together, rtol=1e-6)
    assert int(final.optimizer.iterations) == 9 + 10 + 9 + 10  # the last average's


def test_plain_keras_finds_the_same_numbers(job, result):
    expected = job.load("final.keras").evaluate(*job.test, verbose=0, return_dict=True)
    assert {"loss": result["loss"], **result["metrics"]} == pytest.approx(expected, abs=1e-6)
    said = "average_last: the last 3 averages are averaged once more"
    assert result["stopped"] == {"rounds": 4, "final": 4, "averaged": 3, "reason": said}


def test_the_history_is_that_of_the_averages_alone(job, result):
    rows = sample(2100, result["validation"]["rows"], 5)
    x, y = (array[rows] for array in job.test)
    evaluated = [row["round"] for row in result["rounds"] if row["val_loss"] is not None]
    assert evaluated == [1, 3]  # small rounds: each second of them, and the last one
    for number in evaluated:
        value = job.action("reducer")({**job.args, "round": number})
        job.action("trainer")(value)
        model = keras.models.load_model(job.file(keys.file_key(number + 1)))
        expected = model.evaluate(x, y, verbose=0, return_dict=True)
        row = result["rounds"][number]
        assert {name: row[f"val_{name}"] for name in expected} == pytest.approx(expected, abs=1e-6)
