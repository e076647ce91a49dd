"""A run that ends before its last round: the same decision whoever drives it, and the average that met the rule."""

import json

import pytest

from common.plan import plan as plans
from common.reports import progress
from common.storage import keys

from .conftest import arrays, npz
from .test_reducer import Driver, evaluate, train

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
    return lambda rule: new_run(**job, **rule)


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


def test_an_old_run_is_evaluated_as_it_is(new_run, tmp_path):
    run = new_run(epochs=4, rounds=8, outer_momentum=0, max_seconds=1e-3)
    driver = Driver(run)
    driver.clock.now = plans.read(run).created + 60
    assert not driven(driver, tmp_path)
    stop = run.find_json(keys.STOP)
    assert (stop["rounds"], stop["final"]) == (1, 1)
