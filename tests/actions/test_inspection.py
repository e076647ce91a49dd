"""What a trainer that was taken over writes, on a real store: put aside, tried again, and no trace in the result."""

import hashlib
import json
import re

import numpy as np
import pytest

from common.errors import RunError
from common.plan import plan as plans
from common.reports import progress
from common.rounds import ledger, rounds, warm_up
from common.storage import keys, state
from common.storage.run import Run

from .conftest import alone, arrays, keras_file, npz
from .test_reducer import FINAL, Driver, evaluate, leave, train, trained, weights

pytestmark = pytest.mark.usefixtures("throttle")
W, COUNT = "trainable.0000.w", "optimizer.0000.i"
START = r"^its tensors, rules or metrics are not those of the round's start$"


def body_of(tensors, metadata, folder):
    state.save(folder / "body", tensors, metadata)
    return (folder / "body").read_bytes()


class Training:
    """A run of three lanes, driven on from test to test."""

    def __init__(self, s3, action, name, **parameters):
        self.args = {"s3": s3.params, "run": name}
        for key, body in (("d.npz", npz(**arrays())), ("m.keras", keras_file())):
            s3.client.put_object(Bucket=s3.bucket, Key=f"inspection/{key}", Body=body)
        given = {"dataset": "inspection/d.npz", "model": "inspection/m.keras", "workers": 3, "batch_size": 16}
        action("planner")({**self.args, **given, **parameters})
        self.run = Run(alone(s3), name)
        warm_up.give_up(self.run, None)  # nobody waits for warm trainers
        action("splitter")(self.args)
        self.driver = Driver(self.run)
        self.values, _ = self.driver.turn()

    @property
    def round(self):
        return self.values[0]["round"]

    def turn(self, items):
        """Let the reducer go on; return which slices are next: round, lane, start, attempt."""
        self.values, _ = self.driver.turn(items)
        return [(v["round"], v["lane"], v["start"], v["attempt"]) for v in self.values]

    def reasons(self):
        return {piece.lane: piece.reason for piece in ledger.newest(self.run).slices}

    def finish(self, folder):
        """Train the slices as honest trainers do: the round is closed then, with the undisturbed lanes' average."""
        number, turns = self.round, plans.read(self.run).schedule()
        self.turn([train(value, folder) for value in self.values])
        assert self.round == number + 1
        examples = [turns.examples(number, lane) for lane in range(3)]
        expected = np.average([10.0 * number + lane for lane in range(3)], weights=examples)
        np.testing.assert_allclose(weights(self.run, number + 1), [expected] * 3, rtol=1e-6)

    def held(self, key):
        return self.run.objects.find(self.run.at(key))


@pytest.fixture(scope="module")
def unanswering():
    """Name a platform that does not answer: its limits are taken for the stock ones."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("__OW_API_HOST", "http://127.0.0.1:9")
        yield


@pytest.fixture(scope="module")
def job(s3, action, unanswering):
    return Training(s3, action, "inspected", epochs=20, rounds=20)


@pytest.fixture
def begun(job, tmp_path):
    """Give the run after its first round: from then on, a state is compared with the round's start."""
    while job.round == 0 or len(job.values) < 3:
        job.finish(tmp_path)
    return job


def told(**said):
    return lambda tensors, metadata: (tensors, {**metadata, **said})


def holds(value):
    return lambda tensors, metadata: ({**tensors, W: value}, metadata)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (told(examples="1000000000"), r"^examples: got 1000000000, expected \d+$"),
        (told(rules=json.dumps({W: "keep", COUNT: "keep"})), r"^rules: 'trainable.0000.w': got 'keep', expected mean$"),
        (told(lane="0"), r"^lane: got 0, expected 1$"),
        (told(sums='{"loss": [NaN, 67.0]}'), r"^sums: 'loss': total: got nan"),
        (holds(np.array([0, np.nan, 0], np.float32)), r"^trainable.0000.w: got NaN or a number beyond"),
        (holds(np.array([0, 0, 1e30], np.float32)), r"^trainable.0000.w: got NaN or a number beyond"),
        (holds(np.zeros((3, 1), np.float32)), START),
    ],
    ids=["examples", "rules", "lane", "sums", "nan", "1e30", "shape"],
)
def test_a_state_that_cannot_be_is_put_aside_and_made_again(begun, change, reason, tmp_path):
    number, [zero, one, two] = begun.round, begun.values
    tensors, said = trained(one)
    body = body_of(*change(tensors, said.pack()), tmp_path)
    items = [train(zero, tmp_path), leave(one, body), train(two, tmp_path)]
    assert begun.turn(items) == [(number, 1, 0, 2)]
    assert re.search(reason, begun.reasons()[1]), begun.reasons()
    key, wave = keys.state_key(number, 1, one["put"][-1][0]), ledger.newest(begun.run).wave - 1
    assert (begun.held(key), begun.held(keys.rejected_key(wave, key))) == (None, body)
    kept = begun.run.find_json(keys.rejection_key(wave, number, 1))
    assert kept.pop("time") > 0
    assert kept == {"wave": wave, "round": number, "lane": 1, "reason": begun.reasons()[1], "objects": [key]}
    begun.finish(tmp_path)


@pytest.mark.parametrize("body", [b"", (200 << 20).to_bytes(8, "little") + b"{}"], ids=["empty", "a header of 200 MB"])
def test_a_file_that_is_no_state_is_put_aside(begun, body, tmp_path):
    number, [zero, one, two] = begun.round, begun.values
    assert begun.turn([train(zero, tmp_path), leave(one, body), train(two, tmp_path)]) == [(number, 1, 0, 2)]
    begun.finish(tmp_path)


def test_no_state_that_cannot_be_gets_into_the_report(begun):
    """The numbers that status shows are finite, after all that these tests have poisoned."""
    shown = progress.standing(begun.run, begun.driver.clock())
    assert json.loads(json.dumps(shown, allow_nan=False))["phase"] == "training"
    assert all(0 < row["loss"] < 10 for row in shown["metrics"])


def test_a_step_that_cannot_be_is_not_gone_on_from(s3, action, unanswering, tmp_path):
    """A lane that was cut short goes on from a state of its own: where that cannot be, from the round's start."""
    job = Training(s3, action, "steps", epochs=1, rounds=1)
    zero, one, two = job.values
    step = one["put"][0][0]
    tensors, said = trained(one, step)
    body = body_of({**tensors, W: np.full(3, np.inf, np.float32)}, said.pack(), tmp_path)
    assert job.turn([train(zero, tmp_path), leave(one, body, step), train(two, tmp_path)]) == [(0, 1, 0, 2)]
    assert job.reasons()[1].startswith("trainable.0000.w: got NaN")
    # a late step of an honest trainer may come from a poisoned one: all of them are put aside
    assert job.turn([train(job.values[0], tmp_path, step)]) == [(0, 1, step, 1)]
    tensors, said = trained(job.values[0])
    body = body_of(*told(memory="-1")(tensors, said.pack()), tmp_path)
    assert job.turn([leave(job.values[0], body)]) == [(0, 1, 0, 3)]
    assert not [key for key in job.run.sizes(keys.round_folder(0)) if "lane-01" in key]
    job.finish(tmp_path)


def test_a_refused_state_counts_though_another_lane_was_waited_for(begun, tmp_path):
    number, [zero, one, _] = begun.round, begun.values
    bad = body_of(*told(memory="-1")(*(lambda t, p: (t, p.pack()))(*trained(one))), tmp_path)
    assert begun.turn([train(zero, tmp_path), leave(one, bad), {"failed": "x"}]) == [(number, 2, 0, 2)]
    assert begun.turn([train(begun.values[0], tmp_path)]) == [(number, 1, 0, 2)]
    begun.finish(tmp_path)


def test_the_fourth_refusal_is_the_runs_and_a_run_that_is_taken_up_has_four_more(s3, action, unanswering, tmp_path):
    job = Training(s3, action, "refused", epochs=1, rounds=1)
    bad = body_of(*told(memory="-1")(*(lambda t, p: (t, p.pack()))(*trained(job.values[1]))), tmp_path)
    items = [train(job.values[0], tmp_path), leave(job.values[1], bad), train(job.values[2], tmp_path)]
    for attempt in (2, 3, 4):
        assert job.turn(items) == [(0, 1, 0, attempt)]
        items = [leave(job.values[0], bad)]
    sentence = (
        r"^lane 1 of round 0 at step 0 failed 4 times, the last time: memory: got -1, expected 0\.\.1\.09951e\+12$"
    )
    with pytest.raises(RunError, match=sentence):
        job.turn(items)
    job.driver = Driver(job.run, "other", job.driver.clock)
    job.driver.clock.sleep(400)
    assert job.turn([]) == [(0, 1, 0, 1)]
    job.finish(tmp_path)


def test_two_lanes_that_do_not_agree_are_both_tried_again(s3, action, unanswering, tmp_path):
    """Nothing is known before the first average: most lanes are right, and of two nobody is."""
    job = Training(s3, action, "two", workers=2, epochs=1, rounds=1)
    tensors, said = trained(job.values[1])
    other = body_of(*told(sums=json.dumps({**said.sums, "odd": [1.0, 1.0]}))(tensors, said.pack()), tmp_path)
    assert job.turn([train(job.values[0], tmp_path), leave(job.values[1], other)]) == [
        (0, 0, 0, 2),
        (0, 1, 0, 2),
    ]
    assert set(job.reasons().values()) == {"its tensors, rules or metrics are not those of most lanes"}
    job.turn([train(value, tmp_path) for value in job.values])
    assert job.round == 1


@pytest.mark.parametrize("given", [None, np.full(3, np.nan, np.float32), np.zeros(4, np.float32)])
def test_a_start_that_cannot_be_is_refused_before_an_average_needs_it(
    s3, action, unanswering, given, tmp_path, request
):
    job = Training(s3, action, f"start-{0 if given is None else len(given)}", epochs=4, rounds=4, outer_momentum=0.5)
    zero = job.values[0]
    assert zero["put"][0][0] == 0
    if given is not None:
        said = state.Progress({W: "mean", COUNT: "keep"}, 0, 0, 0).pack()
        leave({**zero, "put": zero["put"][:1]}, body_of({W: given, COUNT: np.array(0)}, said, tmp_path), 0)
    assert job.turn([train(value, tmp_path) for value in job.values]) == [(0, 0, 0, 2)]
    assert job.values[0]["put"][0][0] == 0


def test_a_twin_that_refuses_the_same_does_no_harm(begun, tmp_path):
    number, [zero, one, two] = begun.round, begun.values
    bad = body_of(*told(memory="-1")(*(lambda t, p: (t, p.pack()))(*trained(one))), tmp_path)
    items = [train(zero, tmp_path), leave(one, bad), train(two, tmp_path)]
    found = rounds.look(begun.run, plans.read(begun.run), number)
    assert begun.turn(items) == [(number, 1, 0, 2)]
    for key in (keys.state_key(number, *at) for at in found.sizes if at[0] == 1):
        begun.run.move(key, keys.rejected_key(0, key))  # what a twin does that looked before
    begun.finish(tmp_path)


@pytest.fixture(scope="module")
def trained_run(s3, action, unanswering, tmp_path_factory):
    job = Training(s3, action, "trained", epochs=1, rounds=1)
    job.turn([train(value, tmp_path_factory.mktemp("trained")) for value in job.values])
    return job


@pytest.fixture
def unevaluated(trained_run):
    """Give a run that is trained, and of which nothing was evaluated."""
    for key in [key for part in (keys.SCORES, keys.FINAL, keys.REJECTED) for key in trained_run.run.sizes(part)]:
        trained_run.run.objects.delete(trained_run.run.at(key))
    trained_run.driver = Driver(trained_run.run, "another", trained_run.driver.clock)
    trained_run.driver.clock.sleep(400)
    assert trained_run.turn([]) == [(1, 0, 0, 1), (1, 1, 0, 1)]
    return trained_run


@pytest.mark.parametrize(
    ("lane", "said", "lanes", "reason"),
    [
        (1, {"scores": {"loss": 0.5, "accuracy": 2.0}}, [1], r"^scores: 'accuracy': got 2.0, expected 0\.\."),
        (1, {"scores": {"loss": float("nan")}}, [1], r"^scores: 'loss': got nan"),
        (1, {"scores": {}}, [1], r"^scores: got \{\}, expected a loss and metrics$"),
        (1, {"sums": {"loss": [20.0, 4000.0]}}, [1], r"^sums: loss: count: got 4000.0, expected 40.0$"),
        (1, {"sums": {"loss": [40.0, 40.0]}}, [1], r"^sums: 'loss': mean: got 1.0, expected 0.49999\.\.0.50001$"),
        (1, {"validation_sums": {"loss": [1.0, 4.0]}}, [1], r"^validation_sums: got \{.*\}, expected None$"),
        (1, {"weights_sha256": "f" * 63}, [1], r"^weights_sha256: got 'f.*f', expected a digest$"),
        (1, {"weights_sha256": "f" * 64}, [0, 1], r"^it evaluated other weights, or by other metrics, than most"),
        (1, {"scores": {"loss": 0.25}, "sums": {"loss": [10.0, 40.0]}}, [0, 1], r"found different numbers$"),
        (1, {"final_md5": "0" * 32}, [0, 1], r"^the two lanes that made final.keras made different ones$"),
        (1, {"final_md5": 5}, [1], r"^final_md5: got 5, expected a digest$"),
        (0, {"seconds": -1.0}, [0], r"^seconds: got -1.0, expected 0\.\.350$"),
        (0, {"memory": float("inf")}, [0], r"^memory: got inf"),
        (0, {"x": "x" * (1 << 20)}, [0], r"^scores/00001/model/lane-00.json: got \d+ bytes, expected at most 1048576$"),
    ],
)  # fmt: skip
def test_scores_that_cannot_be_are_put_aside_and_made_again(unevaluated, lane, said, lanes, reason):
    unevaluated.values.sort(key=lambda value: value["lane"] != lane)
    odd, other = unevaluated.values
    assert unevaluated.turn([evaluate(odd, **said), evaluate(other)]) == [(1, lane, 0, 2) for lane in lanes]
    assert all(re.search(reason, text) for text in unevaluated.reasons().values()), unevaluated.reasons()
    kept = [key for key in unevaluated.run.sizes(keys.REJECTED) if key.endswith(".json") and "/scores/" in key]
    assert [key[-7:] for key in kept] == [f"{lane:02d}.json" for lane in lanes]
    assert unevaluated.turn([evaluate(value) for value in unevaluated.values]) == []
    assert unevaluated.held(keys.FINAL) == FINAL


def test_a_final_model_that_its_witness_did_not_make_is_made_again(unevaluated):
    garbage = b"garbage"
    items = [evaluate(unevaluated.values[0], garbage), evaluate(unevaluated.values[1])]
    assert unevaluated.turn(items) == [(1, 0, 0, 2)]
    assert unevaluated.reasons()[0] == "final.keras is not the file that it made"
    assert unevaluated.turn([evaluate(unevaluated.values[0])]) == []
    assert unevaluated.held(keys.FINAL) == FINAL


def test_a_final_model_of_garbage_is_not_made_right_by_saying_so(unevaluated):
    garbage = b"garbage"
    items = [
        evaluate(unevaluated.values[0], garbage, final_md5=hashlib.md5(garbage).hexdigest()),
        evaluate(unevaluated.values[1]),
    ]
    assert unevaluated.turn(items) == [(1, 0, 0, 2), (1, 1, 0, 2)]
    assert unevaluated.turn([evaluate(value) for value in unevaluated.values]) == []
    assert unevaluated.held(keys.FINAL) == FINAL


def test_an_evaluation_without_a_final_model_is_made_again(unevaluated):
    items = [evaluate({**unevaluated.values[0], "final": None}), evaluate(unevaluated.values[1])]
    assert unevaluated.turn(items) == [(1, 0, 0, 2)]
    assert unevaluated.reasons()[0] == "it left no final.keras"


def test_a_store_whose_etag_is_no_md5_is_read(unevaluated, s3):
    """An upload in parts has another etag."""
    values = unevaluated.values
    items = [evaluate({**values[0], "final": None}), evaluate(values[1])]
    unevaluated.run.objects.create_from(unevaluated.run.at(keys.FINAL), iter([FINAL]))
    upload = s3.client.create_multipart_upload(
        Bucket=s3.bucket, Key=(key := f"runs/{unevaluated.run.name}/{keys.FINAL}")
    )["UploadId"]
    part = {"Bucket": s3.bucket, "Key": key, "UploadId": upload}
    etag = s3.client.upload_part(**part, PartNumber=1, Body=FINAL)["ETag"]
    s3.client.complete_multipart_upload(**part, MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": etag}]})
    assert unevaluated.run.objects.head(unevaluated.run.at(keys.FINAL))[1] != hashlib.md5(FINAL).hexdigest()
    assert unevaluated.turn(items) == []
