"""The reducer's turns on a real store; lanes' states are written by the presigned URLs it hands out, as trainers do."""

import hashlib
import json
import urllib.error
import urllib.request

import numpy as np
import pytest

from common.errors import RunError
from common.plan import plan as plans
from common.plan.schedule import Schedule
from common.rounds import drive, lease, ledger, pace, rounds, slices
from common.storage import state

from .conftest import arrays, npz

STOCK = pace.Limits(60, 30)
FINAL = b"a model"
KILL = "The action did not produce a valid response and exited unexpectedly."


class Clock:
    """A clock that sleeping moves."""

    def __init__(self, now=6000.0):
        self.now = now

    def __call__(self):
        return self.now

    def sleep(self, seconds):
        self.now += seconds


class Driver:
    """One driver of a run, turn by turn, as train-loop calls the reducer."""

    def __init__(self, run, name="me", clock=None, limits=STOCK):
        self.run, self.name, self.limits = run, name, limits
        self.wave, self.clock = None, clock or Clock()

    def turn(self, items=(), lost=None):
        clock = self.clock
        turn = drive.Turn(
            self.name, self.wave, list(items), lost, clock.now + 300, self.limits, clock, lambda s: clock.sleep(s)
        )  # fmt: skip
        wave, pending = drive.take(self.run, plans.read(self.run), turn)
        self.wave = wave.wave if wave else self.wave
        return (slices.values(self.run, plans.read(self.run), wave) if wave else []), pending


def put(url, body):
    request = urllib.request.Request(url, body, {"If-None-Match": "*"}, method="PUT")
    with urllib.request.urlopen(request) as answer:
        return answer.status


def trained(value, step=None, loss=None):
    """Return what a trainer would leave: numbers that differ by round and lane, and what it says of itself."""
    lane, round_ = value["lane"], value["round"]
    step = step or value["put"][-1][0]
    rules = {"trainable.0000.w": "mean", "optimizer.0000.i": "keep"}
    examples = Schedule(**value["schedule"]).examples(round_, lane, step)
    progress = state.Progress(rules, round_, lane, step, examples, activation_seconds=2.0)
    progress.sums = {"loss": [float(lane + 1), float(examples)]}
    progress.start_sums = validated(value, loss)
    tensors = {
        "trainable.0000.w": np.full(3, 10.0 * round_ + lane, np.float32),
        "optimizer.0000.i": np.int64(step).reshape(()),
    }
    return tensors, progress


def validated(value, loss=None):
    """Return what a trainer would say of its share of the validation set, None where it has none."""
    first, last = value["validation"]["rows"] if value["validation"] else (0, 0)
    return {"loss": [(loss or 0.25) * (last - first), float(last - first)]} if last > first else None


def leave(value, body, step=None):
    """Write a state's bytes as a trainer does; return its item."""
    step = step or value["put"][-1][0]
    assert put(dict(map(tuple, value["put"]))[step], body) == 200
    return {"lane": value["lane"], "start": value["start"], "step": step}


def train(value, tmp_path, step=None, loss=None):
    """Write what a trainer would; return its item."""
    tensors, progress = trained(value, step, loss)
    state.save(tmp_path / "state", tensors, progress.pack())
    return leave(value, (tmp_path / "state").read_bytes(), step)


def scored(value):
    """Return what a trainer would say that evaluated its share."""
    rows = value["rows"][1] - value["rows"][0]
    told = {"scores": {"loss": 0.5}, "sums": {"loss": [0.5 * rows, float(rows)]}, "seconds": 1.0, "memory": 1 << 28}
    final = {"final_md5": hashlib.md5(FINAL).hexdigest()} if value["makes_final"] else {}
    other = {"other_sums": validated(value)} if value["get"]["other"] else {}
    return {**told, "weights_sha256": "ab" * 32, **final, "validation_sums": validated(value), **other}


def evaluate(value, final=FINAL, **changes):
    """Write what a trainer would that evaluated its share; return its item."""
    if value["final"]:
        assert put(value["final"], final) == 200
    assert put(value["put"], json.dumps({**scored(value), **changes}).encode()) == 200
    return {"lane": value["lane"], "start": 0, "step": 1}


def weights(run, round_):
    lane = rounds.reader(run, f"rounds/{round_:05d}/model.safetensors")
    return lane.chunk("trainable.0000.w", 0, 3).tolist()


def test_rounds_follow_each_other_until_the_run_is_trained(new_run, tmp_path):
    run = new_run()
    split = plans.read(run).split
    driver, items = Driver(run), []
    for number in range(4):
        values, pending = driver.turn(items)
        assert pending and [(v["round"], v["lane"], v["start"], v["attempt"]) for v in values] == [
            (number, lane, 0, 1) for lane in range(3)
        ]
        assert [v["shard"][-1] for v in values] == [str((lane + number // 2) % 3) for lane in range(3)]
        ahead = [
            v["next"] and (v["next"]["shard"], v["next"]["y"].split("?")[0].rpartition(f"/{split}/")[2]) for v in values
        ]
        there = [(f"{split}/{k}", f"shards/{k:02d}/y.npy") for k in (1, 2, 0)]  # the pass ends, and lanes move on
        held_out = (f"{split}/test", "test/y.npy")
        assert ahead == {1: there, 3: [held_out, held_out, None]}.get(number, [None] * 3)
        items = [train(value, tmp_path) for value in values]
    values, pending = driver.turn(items)
    assert pending and [(v["round"], v["lane"], v["rows"], bool(v["final"]), v["makes_final"]) for v in values] == [
        (4, 0, (0, 40), True, True),
        (4, 1, (0, 40), False, True),
    ]
    assert driver.turn([evaluate(value) for value in values]) == ([], False)
    examples = [[plans.read(run).schedule().examples(r, k) for k in range(3)] for r in range(4)]
    expected = [np.average([10.0 * r + k for k in range(3)], weights=examples[r]) for r in range(4)]
    for number in range(4):
        np.testing.assert_allclose(weights(run, number + 1), [expected[number]] * 3, rtol=1e-6)
    assert rounds.metrics(rounds.summaries(run, 4)) == {"loss": pytest.approx(6 / sum(examples[3]))}
    assert driver.turn([]) == ([], False)


def test_a_share_that_was_evaluated_is_not_evaluated_again(new_run, put, tmp_path):
    run = new_run(epochs=1, rounds=1, dataset=put("data/shares.npz", npz(**arrays(test=2100))))
    driver = Driver(run)
    values, _ = driver.turn()
    values, _ = driver.turn([train(value, tmp_path) for value in values])
    assert [(v["lane"], v["rows"], bool(v["final"])) for v in values] == [
        (0, (0, 1056), True),
        (1, (1056, 2100), False),
    ]
    slowest = 2.0 / 66  # seconds of training for an example
    assert drive.expected(run, plans.read(run), ledger.newest(run).slices) == pytest.approx(slowest * 1050)
    items = [{"failed": KILL}, evaluate(values[1])]
    again, pending = driver.turn(items)
    assert ([(v["lane"], v["round"], v["attempt"]) for v in again], pending) == ([(0, 1, 2)], True)
    assert driver.turn([evaluate(again[0])]) == ([], False)


def test_a_trained_lane_is_not_trained_again(new_run, tmp_path):
    driver = Driver(new_run())
    values, _ = driver.turn()
    items = [train(values[0], tmp_path), {"failed": KILL}, train(values[2], tmp_path)]
    again, _ = driver.turn(items)
    assert [(v["lane"], v["attempt"], v["micro"]) for v in again] == [(1, 2, None)]
    once_more, _ = driver.turn([{"failed": KILL}])
    assert [(v["lane"], v["attempt"], v["micro"]) for v in once_more] == [(1, 3, 4)]
    assert [piece.reason for piece in ledger.newest(driver.run).slices] == [KILL]


def test_the_fourth_failure_is_the_runs(new_run):
    driver = Driver(new_run(workers=1))
    items = []
    for _ in range(4):
        driver.turn(items)
        items = [{"failed": "ValueError: odd"}]
    with pytest.raises(RunError, match=r"^lane 0 of round 0 at step 0 failed 4 times, the last time: ValueError: odd$"):
        driver.turn(items)
    again = Driver(driver.run, "other", driver.clock)
    driver.clock.sleep(400)
    assert [value["attempt"] for value in again.turn()[0]] == [1]


def test_a_slice_that_was_cut_short_goes_on_from_its_last_saved_step(new_run, tmp_path):
    run = new_run()
    driver = Driver(run)
    values, _ = driver.turn()
    step = values[0]["put"][1][0]
    items = [train(values[0], tmp_path, step), *[train(value, tmp_path) for value in values[1:]]]
    rest, _ = driver.turn(items)
    assert [(v["lane"], v["start"], v["attempt"]) for v in rest] == [(0, step, 1)]
    assert f"step-{step:08d}" in rest[0]["get"]["state"]
    assert [s for s, _ in rest[0]["put"]][-1] == values[0]["put"][-1][0]


def test_slices_that_were_queued_too_long_are_no_attempts_and_get_longer(new_run):
    driver = Driver(new_run())
    values, _ = driver.turn()
    first = ledger.newest(driver.run)
    again, _ = driver.turn([{"late": True, "lane": v["lane"], "start": 0, "step": 0} for v in values])
    second = ledger.newest(driver.run)
    assert [v["attempt"] for v in again] == [1, 1, 1]
    assert second.deadline - second.issued == 2 * (first.deadline - first.issued)


def test_a_fork_that_failed_is_no_attempt_and_waits_for_the_next_minute(new_run):
    driver = Driver(new_run())
    driver.turn()
    again, _ = driver.turn(lost="Parallel combinator failed to invoke: Too many requests in the last minute")
    newest = ledger.newest(driver.run)
    assert [v["attempt"] for v in again] == [1, 1, 1]
    assert newest.issued % 60 < 1 and newest.issued - 6000 > 59


def test_a_lost_wave_is_waited_for_until_its_deadline_then_tried_again(new_run, tmp_path):
    driver = Driver(new_run())
    values, _ = driver.turn()
    train(values[1], tmp_path)
    deadline = ledger.newest(driver.run).deadline
    again, _ = driver.turn(lost="Internal error: redis")
    assert [(v["lane"], v["attempt"]) for v in again] == [(0, 2), (2, 2)]
    assert ledger.newest(driver.run).issued >= deadline


def test_a_lost_wave_whose_states_are_all_there_is_not_waited_for(new_run, tmp_path):
    driver = Driver(new_run())
    values, _ = driver.turn()
    for value in values:
        train(value, tmp_path)
    again, _ = driver.turn(lost="Internal error: redis")
    assert [v["round"] for v in again] == [1, 1, 1] and driver.clock.now < 6010


def test_a_wave_lost_for_good_ends_the_run_without_waiting_for_its_lease(new_run):
    driver = Driver(new_run())
    driver.turn()
    before = driver.clock.now
    with pytest.raises(RunError, match="^The wave could not begin: Redis: WRONGPASS x; expected REDIS_URI to name"):
        driver.turn(lost="The wave could not begin: Redis: WRONGPASS x")
    assert driver.clock.now == before and ledger.newest(driver.run).wave == 0


@pytest.mark.parametrize("lost", ["The wave could not begin: down", "Parallel combinator failed to invoke: down"])
def test_a_wave_that_never_began_is_tried_again_at_once(new_run, lost):
    driver = Driver(new_run())
    driver.turn()
    again, _ = driver.turn(lost=lost)
    assert [v["attempt"] for v in again] == [2, 2, 2] and driver.clock.now < 6010
    assert {piece.reason for piece in ledger.newest(driver.run).slices} == {lost}


def test_a_lost_branch_is_an_attempt_of_its_slice_alone_and_none_where_its_state_is_there(new_run, tmp_path):
    driver = Driver(new_run())
    values, _ = driver.turn()
    items = [{"failed": "its branch was lost"}, {"failed": "its branch was lost"}, train(values[2], tmp_path)]
    train(values[0], tmp_path)
    again, _ = driver.turn(items)
    assert [(v["lane"], v["attempt"]) for v in again] == [(1, 2)]


def test_a_join_is_told_whether_the_store_has_all_of_its_wave(new_run, action, given, tmp_path):
    run = new_run()

    def look(wave):
        return action("reducer")({"s3": given["s3"], "run": run.name, "look": True, "wave": wave})

    assert look(0) == {"whole": False} and look(None) == {"whole": True}
    driver = Driver(run)
    values, _ = driver.turn()
    items = [train(value, tmp_path) for value in values[:2]]
    assert look(0) == {"whole": False}
    again, _ = driver.turn([*items, {"failed": KILL}])
    assert (look(0), look(1)) == ({"whole": True}, {"whole": False})  # the run has gone on
    train(again[0], tmp_path)
    assert look(1) == {"whole": True}
    assert len(run.sizes("waves/")) == 2


@pytest.mark.parametrize(("looks", "lasts"), [(0, lease.SILENCE_SECONDS), (3, 15 + lease.SILENCE_SECONDS), (99, 120.0)])
def test_a_second_driver_waits_for_the_firsts_wave_while_its_join_looks(new_run, looks, lasts):
    run, clock = new_run(), Clock()
    first, second = Driver(run, "first", clock), Driver(run, "second", clock)
    first.turn()
    wave, sleep, heard = ledger.newest(run), clock.sleep, [0.0]

    def sleep_while_the_join_looks(seconds):
        sleep(seconds)
        if len(heard) <= looks and clock.now >= wave.issued + 5 * len(heard):
            heard.append(clock.now)
            assert drive.look(run, plans.read(run), 0, clock.now) is False

    clock.sleep = sleep_while_the_join_looks
    values, _ = second.turn()
    assert [v["attempt"] for v in values] == [1, 1, 1]
    assert [ledger.find(run, number).driver for number in (0, 1)] == ["first", "second"]
    assert clock.now - wave.issued == pytest.approx(lasts, abs=1.1)


def test_a_driver_whose_join_was_lost_keeps_its_lease(new_run):
    run, clock = new_run(), Clock()
    first, second = Driver(run, "first", clock), Driver(run, "second", clock)
    first.turn()
    wave, sleep, waits = ledger.newest(run), clock.sleep, []

    def sleep_and_look(seconds):
        sleep(seconds)
        waits.append(lease.end(run, wave) > clock.now)

    clock.sleep = sleep_and_look
    first.turn(lost="The action did not produce a valid response and exited unexpectedly.")
    assert len(waits) > 100 and all(waits[:-2])
    second.turn()


def test_a_driver_that_was_taken_for_dead_and_lives_does_no_harm(new_run, tmp_path):
    """Both train the same slices; the store keeps each state once, and the first goes on when the second has ended."""
    run, clock = new_run(), Clock()
    first, second = Driver(run, "first", clock), Driver(run, "second", clock)
    values, _ = first.turn()
    again, _ = second.turn()  # the first one's join was silent
    assert [(v["lane"], v["start"]) for v in again] == [(v["lane"], v["start"]) for v in values]
    assert drive.look(run, plans.read(run), 0, clock.now) is True  # its join ends: there is a newer wave
    items = [train(value, tmp_path) for value in values]
    for value in again:
        with pytest.raises(urllib.error.HTTPError, match="412"):
            train(value, tmp_path)
    follow, _ = second.turn(items)
    assert [v["round"] for v in follow] == [1, 1, 1]
    for value in follow:
        train(value, tmp_path)
    late, _ = first.turn(items)
    assert [(v["round"], v["attempt"]) for v in late] == [(2, 1)] * 3
    assert [ledger.find(run, number).driver for number in range(4)] == ["first", "second", "second", "first"]


def test_a_second_driver_waits_again_when_the_first_goes_on(new_run, tmp_path):
    run, clock = new_run(), Clock()
    first, second = Driver(run, "first", clock), Driver(run, "second", clock)
    values, _ = first.turn()
    sleep, lanes = clock.sleep, list(values)

    def sleep_while_the_first_goes_on(seconds):
        sleep(seconds)
        if lanes:
            first.turn([train(lanes.pop(), tmp_path) for _ in values])

    clock.sleep = sleep_while_the_first_goes_on
    second.turn()
    waves = [ledger.find(run, number) for number in range(3)]
    assert [wave.driver for wave in waves] == ["first", "first", "second"]
    assert waves[2].issued >= waves[1].issued + lease.SILENCE_SECONDS


def test_a_twin_that_died_before_its_wave_was_started_is_taken_over(new_run):
    run, clock = new_run(), Clock()
    Driver(run, "me", clock).turn()
    values, _ = Driver(run, "me", clock).turn()
    assert len(values) == 3 and clock.now < 6010
    assert [v["attempt"] for v in values] == [1, 1, 1]


def test_a_cancelled_run_ends_before_its_next_wave(new_run, action, given):
    run = new_run()
    assert action("status")({"s3": given["s3"], "run": run.name, "cancel": True})["phase"] == "cancelling"
    with pytest.raises(RunError, match=f"^run {run.name} was cancelled$"):
        Driver(run).turn()
    action("planner")({"s3": given["s3"], "run": run.name})
    assert len(Driver(run).turn()[0]) == 3


def test_a_low_limit_makes_smaller_waves(new_run):
    driver = Driver(new_run(), limits=pace.Limits(60, 4))
    assert [v["lane"] for v in driver.turn()[0]] == [0, 1]


def save_start(value, tmp_path, iteration):
    """Save what the first round starts from, as lane 0's trainer does: weights of 100."""
    begin = state.Progress({"trainable.0000.w": "mean", "optimizer.0000.i": "keep"}, 0, 0, 0)
    held = {"trainable.0000.w": np.full(3, 100.0, np.float32), "optimizer.0000.i": np.int64(iteration).reshape(())}
    state.save(tmp_path / "begin", held, begin.pack())
    put(value["put"][0][1], (tmp_path / "begin").read_bytes())


def test_outer_momentum_starts_from_what_lane_0_saved(new_run, tmp_path):
    run = new_run(workers=2, outer_momentum=0.5)
    driver, items = Driver(run), []
    values, _ = driver.turn()
    assert [v["put"][0][0] == 0 for v in values] == [True, False]
    save_start(values[0], tmp_path, iteration=0)
    start, velocity = 100.0, 0.0
    for number in range(4):
        items = [train(value, tmp_path) for value in values]
        values, _ = driver.turn(items)
        velocity = 0.5 * velocity + (np.average([10.0 * number, 10.0 * number + 1]) - start)
        start += velocity
        np.testing.assert_allclose(weights(run, number + 1), [start] * 3, rtol=1e-5)


@pytest.mark.parametrize("momentum", [0.0, 0.5])
def test_a_reset_optimizer_starts_each_round_from_what_lane_0_saved(new_run, tmp_path, momentum):
    run = new_run(workers=2, optimizer_state="reset", outer_momentum=momentum)
    driver, items = Driver(run), []
    values, _ = driver.turn()
    assert [v["put"][0][0] == 0 for v in values] == [True, False]
    save_start(values[0], tmp_path, iteration=77)
    start, velocity = 100.0, 0.0
    for number in range(4):
        steps = values[0]["put"][-1][0]
        items = [train(value, tmp_path) for value in values]
        values, _ = driver.turn(items)
        velocity = momentum * velocity + (np.average([10.0 * number, 10.0 * number + 1]) - start)
        start += velocity
        np.testing.assert_allclose(weights(run, number + 1), [start] * 3, rtol=1e-5)
        lane = rounds.reader(run, f"rounds/{number + 1:05d}/model.safetensors")
        assert lane.chunk("optimizer.0000.i", 0, 1).tolist() == [77 if number < 3 else steps]


def test_one_average_needs_no_start(new_run):
    values, _ = Driver(new_run(rounds=1, optimizer_state="reset", outer_momentum=0.5)).turn()
    assert [value["keep_start"] for value in values] == [False] * len(values)  # though moving averages may


def test_a_presigned_put_creates_once_and_only_as_signed(new_run, tmp_path):
    values, _ = Driver(new_run()).turn()
    train(values[0], tmp_path)
    url = values[0]["put"][-1][1]
    with pytest.raises(urllib.error.HTTPError) as again:
        put(url, b"other")
    with pytest.raises(urllib.error.HTTPError) as unsigned:
        urllib.request.urlopen(urllib.request.Request(values[1]["put"][-1][1], b"x", method="PUT"))
    with again.value, unsigned.value:
        assert (again.value.code, unsigned.value.code) == (412, 403)


def test_slices_hold_no_key(new_run, given):
    text = json.dumps(Driver(new_run()).turn()[0])
    assert given["s3"]["secret_key"] not in text
    assert len(text) < 28 * 12_000
