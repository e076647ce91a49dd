"""The planner on a real store: the plan's numbers, default names, resuming."""

import hashlib
import json
import re

import pytest

from common.errors import ParameterError, RunError

from .conftest import arrays, keras_file, npz


def plan(s3, run):
    return json.loads(s3.client.get_object(Bucket=s3.bucket, Key=f"runs/{run}/plan.json")["Body"].read())


def test_the_plan_holds_every_number(action, given, s3):
    run = action("planner")(given)["run"]
    found = plan(s3, run)
    assert (found["held_out"], found["judges"]) == (40, 1)
    numbers = {"workers": 3, "epochs": 2, "rounds": 4, "batch": 9, "seed": 0, "counts": [67, 67, 66]}
    assert {name: found[name] for name in numbers} == numbers
    assert found["model"] == {
        "sha256": hashlib.sha256(keras_file()).hexdigest(),
        "classes": 5,
        "loss": "sparse_categorical_crossentropy",
    }
    train = found["dataset"]["train"]
    assert train["x"] == {"name": "x_train", "shape": [200, 8, 8], "dtype": "|u1"}
    assert (found["evaluate_on"], found["warnings"]) == ("test", [])
    held = s3.client.get_object(Bucket=s3.bucket, Key=f"runs/{run}/initial.keras")["Body"].read()
    assert held == keras_file()


def test_parity_is_in_the_plan_asked_and_trained(action, given, s3):
    found = plan(s3, action("planner")({**given, "epochs": 3, "parity": True, "optimizer_state": "reset"})["run"])
    asked = {name: found["parameters"][name] for name in ("epochs", "parity", "rounds", "outer_momentum")}
    assert asked == {"epochs": 3, "parity": True, "rounds": 10, "outer_momentum": 0.3}
    trained = {name: found[name] for name in ("epochs", "rounds", "outer_momentum", "optimizer_state")}
    assert trained == {"epochs": 5, "rounds": 10, "outer_momentum": 0.3, "optimizer_state": "reset"}


def test_a_run_without_a_name_gets_one_of_dataset_time_and_activation(action, given, monkeypatch):
    monkeypatch.setenv("__OW_ACTIVATION_ID", "abcdef0123456789abcdef0123456789")
    del given["run"]
    found = action("planner")(given)
    assert re.fullmatch(r"[a-z0-9-]{1,32}-\d{8}-\d{6}-abcdef", found["run"])
    assert found["driver"] == "abcdef0123456789abcdef0123456789"


def test_a_run_is_resumed_by_its_name_alone_or_by_the_same_parameters(action, given, s3):
    first = action("planner")(given)
    before = plan(s3, first["run"])
    assert action("planner")({"s3": given["s3"], "run": given["run"]})["run"] == first["run"]
    assert action("planner")(given)["run"] == first["run"]
    assert plan(s3, first["run"]) == before


def test_a_name_alone_starts_nothing(action, given):
    with pytest.raises(ParameterError, match="^dataset: got nothing"):
        action("planner")({"s3": given["s3"], "run": given["run"]})


def test_a_planner_that_died_before_copying_the_model_is_made_good(action, given, s3, put):
    run = action("planner")(given)["run"]
    key = f"runs/{run}/initial.keras"
    s3.client.delete_object(Bucket=s3.bucket, Key=key)
    action("planner")(given)
    assert s3.client.get_object(Bucket=s3.bucket, Key=key)["Body"].read() == keras_file()
    s3.client.delete_object(Bucket=s3.bucket, Key=key)
    put(given["model"].removeprefix(f"s3://{s3.bucket}/"), keras_file(units=6))
    with pytest.raises(RunError, match=f"^run {run} exists with another model"):
        action("planner")(given)


def test_a_fraction_is_taken_off_the_shards(action, given, s3):
    assert plan(s3, action("planner")({**given, "validation": 0.25})["run"])["counts"] == [50, 50, 50]


def test_lanes_share_a_large_test_set_unless_a_metric_is_no_mean(action, given, put, s3):
    given["dataset"] = put("data/judges.npz", npz(**arrays(test=2048)))
    found = plan(s3, action("planner")(given)["run"])
    assert (found["held_out"], found["judges"]) == (2048, 2)
    compiled = {"optimizer": {"module": "keras.optimizers", "class_name": "Adam"}, "metrics": ["auc"]}
    model = keras_file(compile_config={**compiled, "loss": "sparse_categorical_crossentropy"})
    given |= {"run": "judges-alone", "model": put("data/judges.keras", model)}
    assert plan(s3, action("planner")(given)["run"])["judges"] == 1


@pytest.mark.parametrize(("test_set", "expected"), [(True, 40), (False, 8_000)])
def test_a_fraction_is_judged_where_there_is_no_test_set(action, given, put, s3, test_set, expected):
    held = arrays(train=32_000)
    if not test_set:
        del held["x_test"], held["y_test"]
    given |= {"dataset": put("data/fraction.npz", npz(**held)), "validation": 0.25}
    found = plan(s3, action("planner")(given)["run"])
    assert (found["held_out"], found["evaluate_on"]) == (expected, "test" if test_set else "validation")
