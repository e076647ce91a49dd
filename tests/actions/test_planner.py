"""The planner on a real store: the plan's numbers, default names, resuming."""

import hashlib
import json
import re

import numpy as np
import pytest

from common.errors import DlError, ParameterError, RunError

from .conftest import arrays, keras_file, npz


def plan(s3, run):
    return json.loads(s3.client.get_object(Bucket=s3.bucket, Key=f"runs/{run}/plan.json")["Body"].read())


def test_the_plan_holds_every_number(action, given, s3):
    run = action("planner")(given)["run"]
    found = plan(s3, run)
    assert (found["held_out"], found["shares"]) == (40, 1)
    numbers = {"workers": 3, "epochs": 2, "rounds": 4, "batch": 9, "seed": 0, "counts": [67, 67, 66]}
    assert {name: found[name] for name in numbers} == numbers
    assert found["model"] == {
        "sha256": hashlib.sha256(keras_file()).hexdigest(),
        "outputs": [{"name": "", "classes": 5, "loss": "sparse_categorical_crossentropy"}],
        "rate": None,
    }
    assert found["train"]["x"] == [{"name": "x_train", "shape": [200, 8, 8], "dtype": "|u1"}]
    assert (found["evaluate_on"], found["warnings"]) == ("test", [])
    held = s3.client.get_object(Bucket=s3.bucket, Key=f"runs/{run}/initial.keras")["Body"].read()
    assert held == keras_file()


@pytest.mark.parametrize("wrapped", [False, True])
def test_a_schedule_that_counts_on_other_steps_than_a_lanes_is_named(action, given, s3, put, wrapped):
    rates = {"module": "keras.optimizers.schedules", "class_name": "CosineDecay", "config": {"decay_steps": 7}}
    adam = {"module": "keras.optimizers", "class_name": "Adam", "config": {"learning_rate": rates}}
    scaled = {"module": "keras.optimizers", "class_name": "LossScaleOptimizer", "config": {"inner_optimizer": adam}}
    compiled = {"optimizer": scaled if wrapped else adam, "loss": "sparse_categorical_crossentropy"}
    model = put(f"schedule-{wrapped}.keras", keras_file(compile_config=compiled))
    for workers, rate, told in ((4, None, True), (1, None, False), (4, 0.1, False)):
        parameters = {
            **given,
            "model": model,
            "workers": workers,
            "run": f"rates-{wrapped}-{workers}-{bool(rate)}".lower(),
        }
        found = plan(s3, action("planner")({**parameters, **({"learning_rate": rate} if rate else {})})["run"])
        words = "CosineDecay goes by a lane's own steps, 14 of batch 8, where one worker makes 26"
        assert found["warnings"] == [words] * told


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


def test_the_pipelines_invocation_names_the_driver_and_the_run_in_every_try(action, given):
    del given["run"]
    handed = {"given": {name: value for name, value in given.items() if name != "s3"}, "uploaded": False}
    handed |= {"s3": given["s3"], "invocation": {"id": "0123456789", "time": 1_700_000_000.0}}
    first, again = action("planner")(handed), action("planner")(handed)
    assert first["run"].endswith("-20231114-221320-012345") and first["driver"] == "0123456789"
    assert {**again, "value": []} == {**first, "value": []}


def test_what_the_pipeline_was_given_by_a_name_of_its_own_is_an_unknown_parameter(action, given):
    handed = {"s3": given["s3"], "given": {"s3": {}}, "uploaded": False, "invocation": {"id": "0", "time": 0.0}}
    with pytest.raises(ParameterError, match="^s3: got an unknown parameter"):
        action("planner")(handed)


@pytest.mark.parametrize(
    "own", [{}, {"reads": "BUCKET,other"}, {"uploaded": True}, {"uploaded": True, "reads": "BUCKET"}]
)
def test_inputs_may_lie_in_the_deployments_bucket(action, given, s3, own):
    own = {name: value.replace("BUCKET", s3.bucket) if name == "reads" else value for name, value in own.items()}
    assert action("planner")({**given, **own})["run"] == given["run"]


@pytest.mark.parametrize("name", ["dataset", "model", "validation", "config"])
@pytest.mark.parametrize(
    ("own", "address", "said"),
    [
        ({}, "s3://elsewhere/x", "s3://elsewhere/x: got no "),
        ({}, "runs/x", "s3://BUCKET/runs/x: got no such object, expected an existing one"),
        ({"reads": "BUCKET other"}, "s3://elsewhere/x", "got bucket elsewhere, expected BUCKET or other"),
        ({"uploaded": True}, "s3://elsewhere/x", "got bucket elsewhere, expected BUCKET"),
        ({"uploaded": True}, "runs/x", "got s3://BUCKET/runs/x, expected nothing below runs/"),
        ({"uploaded": True}, "a/../runs/x", "got s3://BUCKET/a/../runs/x, expected nothing below runs/"),
        ({"uploaded": True, "reads": "BUCKET"}, ".//runs/x", "got s3://BUCKET/.//runs/x, expected nothing below runs/"),
        ({"uploaded": True, "reads": "other"}, "s3://other/x", "s3://other/x: got no "),
    ],
)
def test_where_else_they_may_lie(action, given, s3, name, own, address, said):
    own = {key: value.replace("BUCKET", s3.bucket) if key == "reads" else value for key, value in own.items()}
    if "reads" in own and s3.bucket not in own["reads"]:  # all of them are elsewhere
        given |= dict.fromkeys(["dataset", "model"], address)
        name = {"dataset": "model", "validation": "model"}.get(name, name)  # the model is read first
    with pytest.raises(DlError, match=f"^{name}: {re.escape(said.replace('BUCKET', s3.bucket))}"):
        action("planner")({**given, **own, name: address})


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
    given["dataset"] = put("data/shares.npz", npz(**arrays(test=2048)))
    found = plan(s3, action("planner")(given)["run"])
    assert (found["held_out"], found["shares"]) == (2048, 2)
    compiled = {"optimizer": {"module": "keras.optimizers", "class_name": "Adam"}, "metrics": ["auc"]}
    model = keras_file(compile_config={**compiled, "loss": "sparse_categorical_crossentropy"})
    given |= {"run": "evaluates-alone", "model": put("data/shares.keras", model)}
    assert plan(s3, action("planner")(given)["run"])["shares"] == 1


@pytest.mark.parametrize(("test_set", "expected"), [(True, 40), (False, 8_000)])
def test_a_fraction_is_evaluated_where_there_is_no_test_set(action, given, put, s3, test_set, expected):
    held = arrays(train=32_000)
    if not test_set:
        del held["x_test"], held["y_test"]
    given |= {"dataset": put("data/fraction.npz", npz(**held)), "validation": 0.25}
    found = plan(s3, action("planner")(given)["run"])
    assert (found["held_out"], found["evaluate_on"]) == (expected, "test" if test_set else "validation")


@pytest.mark.parametrize("examples", [1, 2, 4, 10, 40, 64, 120])
def test_small_data_needs_nothing_but_dataset_and_model(action, given, put, s3, examples):
    asked = {name: given[name] for name in ("s3", "run", "model")}
    asked["dataset"] = put(f"data/small-{examples}.npz", npz(**arrays(train=examples, test=examples)))
    run = action("planner")(asked)["run"]
    assert action("splitter")({"s3": given["s3"], "run": run}) == {"run": run, "pending": False, "value": []}
    found = plan(s3, run)
    assert (found["workers"], found["rounds"]) == (min(4, examples), 1)
    assert sum(found["counts"]) == examples and found["given"] == {n: asked[n] for n in ("dataset", "model")}


def test_a_dataset_without_a_test_set_holds_a_tenth_out_and_says_so(action, given, put, s3):
    held = {"x": arrays(train=150)["x_train"], "y": arrays(train=150)["y_train"]}
    given["dataset"] = put("data/one-set.npz", npz(**held))
    found = plan(s3, action("planner")(given)["run"])
    assert (sum(found["counts"]), found["held_out"], found["evaluate_on"]) == (135, 15, "test")
    assert found["warnings"] == ["the dataset has no test set: 10% of it is held out, and the metrics are of that part"]
    action("splitter")({"s3": given["s3"], "run": given["run"]})
    assert action("planner")(given)["run"] == given["run"]


def test_arrays_that_nothing_uses_are_named(action, given, put, s3):
    held = {**arrays(), "sample_weight": np.ones(200), "x_val": np.ones(3), "y_val": np.ones(3)}
    given["dataset"] = put("data/more.npz", npz(**held))
    found = plan(s3, action("planner")(given)["run"])
    assert found["warnings"] == ["nothing uses the arrays sample_weight, x_val, y_val of the dataset"]


def test_a_resume_compares_what_was_given_even_where_a_release_has_other_defaults(action, given, s3, monkeypatch):
    asked = {name: given[name] for name in ("s3", "run", "dataset", "model")}
    run = action("planner")(asked)["run"]
    before = plan(s3, run)
    monkeypatch.setattr("common.plan.params.WORKERS", 2)
    monkeypatch.setattr("common.plan.params.MOMENTUM", 0.9)
    assert action("planner")(dict(asked))["run"] == run
    assert action("planner")({**asked, "workers": 4})["run"] == run  # as it was planned
    with pytest.raises(RunError, match=f"^run {run} exists with workers 4, got 2$"):
        action("planner")({**asked, "workers": 2})
    assert plan(s3, run) == before


def test_what_was_given_is_not_left_out(action, given):
    run = action("planner")(given)["run"]
    del given["workers"]
    with pytest.raises(RunError, match=f"^run {run} exists with workers 3, got none: give it, or the run's name"):
        action("planner")(given)


def test_parameters_count_wherever_they_come_from(action, given, put):
    asked = {name: given[name] for name in ("s3", "run", "dataset", "model")}
    asked["config"] = put("data/same.json", json.dumps({"workers": 3, "seed": 7}).encode())
    run = action("planner")(dict(asked))["run"]
    for again in (asked, {**{n: v for n, v in asked.items() if n != "config"}, "workers": 3, "seed": 7}):
        assert action("planner")(dict(again))["run"] == run
    put("data/same.json", json.dumps({"workers": 3, "seed": 8}).encode())
    with pytest.raises(RunError, match=f"^run {run} exists with seed 7, got 8$"):
        action("planner")(asked)


@pytest.mark.parametrize("rule", [{}, {"early_stopping": {"patience": 2}}, {"goal": {"loss": 0.1}}, {"max_seconds": 9}])
def test_a_rule_that_steers_sees_each_average_however_small_the_rounds(action, given, s3, rule):
    """Small rounds are evaluated every n-th time, which may be never: early_stopping and goal did nothing then."""
    found = plan(s3, action("planner")({**given, "epochs": 4, "rounds": 8, "validation": 0.2, **rule})["run"])
    steers = {"early_stopping", "goal"} & rule.keys()
    assert found["validation"] == {"set": "validation", "examples": 40, "rows": 40, "frequency": 1 if steers else 7}
