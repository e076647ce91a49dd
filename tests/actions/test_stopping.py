"""What averages' scores decide: the end, the rate, the final model; the same whoever drives the run."""

import hashlib
import json

import numpy as np
import pytest

from common.errors import ParameterError
from common.plan import plan as plans
from common.reports import progress
from common.rounds import ledger, rounds, steering, stopping
from common.storage import keys

from .conftest import arrays, keras_file, npz
from .test_reducer import Driver, evaluate, train, validated

pytestmark = pytest.mark.usefixtures("throttle")
LOSSES = {1: 0.9, 2: 0.5, 3: 0.6, 4: 0.7, 5: 0.125, 6: 0.125, 7: 0.125}  # of the averages of a run of eight rounds
RULES = {
    "early stopping": ({"early_stopping": {"patience": 2}}, 5, 4),
    "early stopping by less": ({"early_stopping": {"patience": 1}}, 4, 3),
    "a goal": ({"goal": {"loss": 0.5}}, 3, 2),
    "a goal in the last round but one": ({"goal": {"loss": 0.125}}, 6, 5),
    "the first of two rules": ({"goal": {"loss": 0.125}, "early_stopping": {"patience": 1}}, 4, 3),
    "no rule that is met": ({"goal": {"loss": 0.01}}, 8, 8),
}


def trained(value, folder):
    """Train as test_reducer does; what a round starts from has the loss above."""
    if value["kind"] == "evaluate":
        return evaluate(value)
    return train(value, folder, loss=LOSSES.get(value["round"]))


def driven(driver, folder, turns=100):
    """Drive a run for so many turns; return whether it goes on."""
    items, pending = [], True
    while pending and turns:
        values, pending = driver.turn(items)
        items, turns = [trained(value, folder) for value in values], turns - 1
    return pending


@pytest.fixture
def begun(new_run, put):
    """Give a function that plans a run of eight rounds, each average of which is evaluated, with a rule."""
    dataset = put("data/stopping.npz", npz(**arrays(train=2000)))
    job = {"dataset": dataset, "epochs": 4, "rounds": 8, "validation": 0.3, "outer_momentum": 0}
    return lambda rule: new_run(**{name: value for name, value in {**job, **rule}.items() if value is not None})


@pytest.mark.parametrize("name", RULES)
def test_training_ends_with_the_average_that_met_the_rule(begun, tmp_path, name):
    rule, rounds, final = RULES[name]
    run = begun(rule)
    driver, seen, items, pending = Driver(run), [], [], True
    while pending:
        values, pending = driver.turn(items)
        seen += [(v["round"], v["get"]["state"]) for v in values if v["lane"] == 0]
        items = [trained(value, tmp_path) for value in values]
    assert [number for number, _ in seen] == [*range(rounds), 8]
    assert keys.model_key(final) in seen[-1][1]
    stop = run.find_json(keys.STOP)
    assert (stop and (stop["rounds"], stop["final"])) == ((rounds, final) if rounds < 8 else None)
    told = progress.standing(run, driver.clock())["metrics"]
    expected = [LOSSES[number + 1] for number in range(rounds - 1)]
    assert [row.get("val_loss") for row in told] == [*map(pytest.approx, expected), None]


@pytest.mark.parametrize("turns", range(1, 8))
def test_a_driver_that_takes_over_decides_the_same(begun, tmp_path, turns):
    rule, rounds, final = RULES["early stopping"]
    run = begun(rule)
    first = Driver(run)
    driven(first, tmp_path, turns)
    other = Driver(run, "other", first.clock)
    other.clock.sleep(400)
    assert not driven(other, tmp_path)
    stop = json.loads(run.objects.read(run.at(keys.STOP)))
    assert (stop["rounds"], stop["final"]) == (rounds, final)
    assert keys.model_key(rounds + 1) not in run.sizes(keys.model_key(rounds + 1))


def kept(driver, folder, turns=100, last=0.25, other=None):
    """Drive a run whose last average, or the mean of the last, scores so; return what was evaluated, and if it goes on.

    `other`: what the last average scores beside that mean.
    """
    seen, items, pending = [], [], True
    while pending and turns:
        values, pending = driver.turn(items)
        turns, items = turns - 1, []
        for value in values:
            if value["kind"] == "train":
                items.append(train(value, folder, loss=LOSSES.get(value["round"])))
                continue
            at = value["get"]["state"].split("?")[0].rpartition("/rounds/")[2]
            seen.append((value["lane"], at))
            made = {"final_md5": hashlib.md5(at.encode()).hexdigest()}
            made |= {"other_sums": validated(value, other)} if value["get"]["other"] else {}
            items.append(evaluate(value, at.encode(), validation_sums=validated(value, last), **made))
    return seen, pending


@pytest.mark.parametrize(("last", "final"), [(0.25, 7), (0.125, 8), (0.1, 8)])
def test_the_best_average_is_the_final_model(begun, tmp_path, last, final):
    run = begun({"keep_best": True})
    seen, _ = kept(Driver(run), tmp_path, last=last)
    models = [f"{number:05d}/model.safetensors" for number in sorted({8, final}, reverse=True)]
    assert seen == [(lane, model) for model in models for lane in range(2)]
    assert run.objects.read(run.at(keys.FINAL)) == models[-1].encode()
    assert (stopping.end(run, plans.read(run)).final, plans.read(run).evaluators) == (final, 2)
    assert all(piece.attempt == 1 for wave in ledger.first(run, 10) for piece in wave.slices)


@pytest.mark.parametrize("turns", range(7, 11))
def test_a_driver_that_takes_over_keeps_the_same(begun, tmp_path, turns):
    run = begun({"keep_best": True})
    first = Driver(run)
    kept(first, tmp_path, turns)
    other = Driver(run, "other", first.clock)
    other.clock.sleep(400)
    assert kept(other, tmp_path)[1] is False
    assert run.objects.read(run.at(keys.FINAL)) == b"00007/model.safetensors"
    said = "keep_best: val_loss of round 6 is 0.125, of round 7 it is 0.25"
    assert run.find_json(keys.BEST) == {"rounds": 8, "final": 7, "reason": said, "last": {"loss": 0.25}, "averaged": 1}


ALONE, TOGETHER = "00008/model.safetensors", "00008/mean-of-3.safetensors"


@pytest.mark.parametrize(
    ("rules", "mean", "last", "seen"),
    [
        ({}, 0.25, 0.5, [TOGETHER]),
        ({}, 0.25, 0.25, [TOGETHER]),
        ({}, 0.25, 0.125, [TOGETHER, ALONE]),
        ({"keep_best": True}, 0.1, 0.125, [TOGETHER]),
        ({"keep_best": True}, 0.25, 0.2, [TOGETHER, "00007/model.safetensors"]),
        ({"early_stopping": {"patience": 2}}, 0.1, 0.125, ["00004/model.safetensors"]),
        ({"validation": None}, 0.5, 0.25, [TOGETHER]),
        ({"evaluate": "end"}, 0.5, None, [TOGETHER]),
    ],
)
def test_the_last_averages_are_averaged_once_more(begun, tmp_path, rules, mean, last, seen):
    run = begun({"average_last": 3, **rules})
    found, _ = kept(Driver(run), tmp_path, last=mean, other=last)
    assert found == [(lane, model) for model in seen for lane in range(2)]
    assert run.objects.read(run.at(keys.FINAL)) == seen[-1].encode()


def test_each_of_the_last_averages_counts_alike(begun, tmp_path):
    run = begun({"average_last": 3})
    kept(Driver(run), tmp_path, last=0.25, other=0.5)
    tensors = {number: rounds.streamed(run, keys.model_key(number)) for number in (6, 7, 8)}
    mean = rounds.streamed(run, keys.mean_key(8, 3))
    parts = [lane.chunk("trainable.0000.w", 0, 3) for lane in tensors.values()]
    assert mean.chunk("trainable.0000.w", 0, 3).tolist() == np.average(parts, axis=0).astype(np.float32).tolist()
    assert mean.chunk("optimizer.0000.i", 0, 1) == tensors[8].chunk("optimizer.0000.i", 0, 1)


@pytest.mark.parametrize("turns", range(8, 11))
def test_a_driver_that_takes_over_averages_the_same(begun, tmp_path, turns):
    run = begun({"average_last": 3})
    first = Driver(run)
    kept(first, tmp_path, turns, other=0.125)
    other = Driver(run, "other", first.clock)
    other.clock.sleep(400)
    assert kept(other, tmp_path, other=0.125)[1] is False
    said = "average_last: val_loss of the last 3 averages together is 0.25, of round 7 it is 0.125"
    assert run.find_json(keys.BEST) == {
        "rounds": 8, "final": 8, "reason": said, "last": {"loss": 0.125}, "averaged": 1,
    }  # fmt: skip


@pytest.mark.parametrize("turns", [None, *range(2, 8)])
def test_the_rate_is_lowered_on_plateaus(begun, tmp_path, turns):
    run = begun({"reduce_on_plateau": {"factor": 0.5, "patience": 1}, "learning_rate": 0.25})
    driver, rates, items, pending = Driver(run), {}, [], True
    while pending:
        if turns is not None and len(rates) == turns:
            steering._known.clear()
            driver, items, turns = Driver(run, "other", driver.clock), [], None
            driver.clock.sleep(400)
        values, pending = driver.turn(items)
        rates |= {value["round"]: value["rate"] for value in values if value["kind"] == "train"}
        items = [trained(value, tmp_path) for value in values]
    # averages 3, 4, 6 and 7 were no better, and each is known when the round after it ends
    assert rates == {0: 0.25, 1: 0.25, 2: 0.25, 3: 0.25, 4: 0.125, 5: 0.0625, 6: 0.0625, 7: 0.03125}


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({"learning_rate": {"class_name": "CosineDecay"}}, "whose learning rate is a CosineDecay"),
        ({}, "without a learning rate"),
    ],
)
def test_a_rate_that_is_no_number_is_not_lowered(given, action, put, config, expected):
    adam = {"module": "keras.optimizers", "class_name": "Adam", "config": config}
    compiled = {"optimizer": adam, "loss": "sparse_categorical_crossentropy"}
    asked = {**given, "model": put("data/rate.keras", keras_file(compile_config=compiled)), "validation": 0.3}
    with pytest.raises(ParameterError) as error:
        action("planner")({**asked, "reduce_on_plateau": {}})
    assert str(error.value) == f"reduce_on_plateau: got a model {expected}, expected a rate that is one number"


def test_an_old_run_is_evaluated_as_it_is(new_run, tmp_path):
    run = new_run(epochs=4, rounds=8, outer_momentum=0, max_seconds=1e-3)
    driver = Driver(run)
    driver.clock.now = plans.read(run).created + 60
    assert not driven(driver, tmp_path)
    stop = run.find_json(keys.STOP)
    assert (stop["rounds"], stop["final"]) == (1, 1)
