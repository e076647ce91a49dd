"""The trainer, in process, on a real S3 server, with nothing but presigned URLs."""

import hashlib
import io
import json
import time

import keras
import numpy as np
import pytest
from keras import layers

from common.errors import ModelError, ParameterError, TransferError
from common.plan.schedule import Schedule, sample
from common.storage import state
from common.storage.objects import Location, Objects
from common.storage.state import Progress
from common.training import processor
from common.training.evaluate import validate
from common.training.model import Learner
from common.training.warm import Arrays

from .conftest import load

RANDOM = np.random.default_rng(11)
COUNTS = [150, 149]
NUMBERS = {"workers": 2, "epochs": 2, "rounds": 2, "batch": 16, "seed": 4, "counts": COUNTS}
SHARDS = [
    {"x": RANDOM.integers(0, 256, (count, 6, 6), np.uint8), "y": RANDOM.integers(0, 3, count).astype(np.uint8)}
    for count in COUNTS
]
HELD = {"x": RANDOM.integers(0, 256, (40, 6, 6), np.uint8), "y": RANDOM.integers(0, 3, 40).astype(np.uint8)}


def model_file(folder):
    """Write a network with everything that carries state: moments, slots, seed generators."""
    keras.utils.set_random_seed(9)
    body = [layers.Rescaling(1 / 255), layers.Flatten(), layers.Dense(8, "relu"), layers.BatchNormalization()]
    model = keras.Sequential([keras.Input((6, 6)), *body, layers.Dropout(0.3), layers.Dense(3)])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(0.01), loss, metrics=["accuracy"])
    model.save(folder / "initial.keras")
    return folder / "initial.keras"


class Lanes:
    """Makes slices as the reducer does, runs them, and reads what they leave."""

    def __init__(self, s3, main, folder):
        self.objects, self.main = Objects(s3.params), main
        self.model = model_file(folder)
        self.sha256 = hashlib.sha256(self.model.read_bytes()).hexdigest()
        self.objects.client.put_object(Bucket=s3.bucket, Key="trainer/initial.keras", Body=self.model.read_bytes())
        for index, shard in enumerate(SHARDS):
            self.arrays(f"trainer/{index}", shard)
        self.arrays("trainer/held", HELD)
        self.folder = folder

    def at(self, key):
        return Location(self.objects.bucket, key)

    def arrays(self, prefix, pair):
        for name, array in pair.items():
            file = io.BytesIO()
            np.save(file, array)
            key = f"{prefix}/{name}.npy"
            self.objects.client.put_object(Bucket=self.objects.bucket, Key=key, Body=file.getvalue())

    def get(self, key):
        return self.objects.presign_get(self.at(key))

    def slice(self, run, stops, start=0, round_=0, lane=0, state_key=None, **changes):
        shard = Schedule(**NUMBERS).shard(round_, lane)
        put = [[step, self.objects.presign_put(self.at(self.key(run, round_, lane, step)))] for step in stops]
        get = {"model": self.get("trainer/initial.keras"), "state": state_key and self.get(state_key)}
        get |= {name: self.get(f"trainer/{shard}/{name}.npy") for name in ("x", "y")}
        return {
            "kind": "train",
            "run": run, "wave": 3, "round": round_, "lane": lane, "start": start, "attempt": 1, "micro": None,
            "deadline": time.time() + 120, "schedule": NUMBERS, "learning_rate": None,
            "optimizer": None, "model_sha256": self.sha256, "get": get, "shard": f"{run}/{shard}", "arrays": ["x", "y"],
            "held_arrays": ["x", "y"], "inputs": None, "outputs": None, "next": None, "put": put, "keep_start": False,
            "validation": None, "weighs_by_accuracy": False, "rate": None,
            **changes,
        }  # fmt: skip

    def key(self, run, round_, lane, step):
        return f"trainer/{run}/{round_}-{lane}-{step}"

    def read(self, run, step, round_=0, lane=0):
        path = self.folder / "read"
        path.write_bytes(self.objects.read(self.at(self.key(run, round_, lane, step))))
        return state.load(path)


@pytest.fixture(scope="module")
def lanes(s3, action, tmp_path_factory):
    lanes = Lanes(s3, action("trainer"), tmp_path_factory.mktemp("trainer"))
    yield lanes
    lanes.objects.client.close()


def evaluation(lanes, run, **changes):
    """Return the slice of the evaluation of a state that a run has left, and the keys of what it leaves."""
    at = {name: lanes.at(f"trainer/{run}/{name}") for name in ("scores", "final.keras")}
    get = {"model": "trainer/initial.keras", "state": lanes.key(run, 0, 0, 10)}
    get |= {name: f"trainer/held/{name}.npy" for name in ("x", "y")}
    value = {
        "kind": "evaluate",
        "run": run, "wave": 3, "round": 2, "lane": 0, "start": 0, "attempt": 1, "deadline": time.time() + 120,
        "learning_rate": None, "optimizer": None, "model_sha256": lanes.sha256, "rows": [8, 40],
        "held_arrays": ["x", "y"], "inputs": None, "outputs": None, "set": f"{run}/test",
        "get": {"other": None} | {name: lanes.get(key) for name, key in get.items()},
        "put": lanes.objects.presign_put(at["scores"]),
        "final": lanes.objects.presign_put(at["final.keras"]), "makes_final": True,
        "averaged": True, "validation": None,
    }  # fmt: skip
    return {**value, **changes}, at


def measured(answer):
    """Split off what differs from run to run."""
    noise = {name: answer.pop(name) for name in ("seconds", "start_seconds", "train_seconds", "memory", "warm")}
    assert noise["seconds"] >= noise["start_seconds"] + noise["train_seconds"]
    assert min(noise["start_seconds"], noise["train_seconds"]) > 0
    assert 100 << 20 < noise["memory"] < 4 << 30
    return answer


def test_a_slice_is_the_learner_on_the_schedule(lanes):
    answer = lanes.main(lanes.slice("whole", [4, 10], lane=1))
    assert measured(answer) == {"run": "whole", "wave": 3, "round": 0, "lane": 1, "start": 0, "step": 10}
    oracle = Learner(lanes.model)
    oracle.set_seeds(4, 0, 1)
    order, bounds = Schedule(**NUMBERS).order(0, 1)
    sums = oracle.train((SHARDS[1]["x"], SHARDS[1]["y"]), order, bounds, 0, 10)
    tensors, metadata = lanes.read("whole", 10, lane=1)
    assert state.digest(tensors) == state.digest(oracle.export_state())
    got = Progress.unpack(metadata)
    assert (got.rules, got.round, got.lane, got.step, got.examples) == (oracle.rules, 0, 1, 10, 149)
    assert got.sums == {name: pytest.approx(pair) for name, pair in sums.items()}
    assert got.activation_seconds > got.seconds > 0
    assert got.memory > 100 << 20
    assert got.validation is None
    assert got.last_lines.startswith("round 0, lane 1, step 10 of 10: accuracy 0.")
    assert not lanes.objects.sizes("trainer/whole/0-1-4")  # done within 30 seconds: one save


def test_four_times_the_same_slice_and_a_cut_one(lanes):
    digests, warm = set(), []
    for index in range(4):
        answer = lanes.main(lanes.slice(f"same-{index}", [10]))
        digests.add(state.digest(lanes.read(f"same-{index}", 10)[0]))
        warm.append(answer["warm"])
    assert len(digests) == 1
    start = None
    for first, last in [(0, 3), (3, 8), (8, 10)]:
        answer = lanes.main(lanes.slice("cut", [last], start=first, state_key=start))
        assert (answer["start"], answer["step"]) == (first, last)
        start = lanes.key("cut", 0, 0, last)
    tensors, metadata = lanes.read("cut", 10)
    assert {state.digest(tensors)} == digests
    cut, whole = Progress.unpack(metadata), Progress.unpack(lanes.read("same-0", 10)[1])
    assert (cut.examples, cut.step) == (whole.examples, whole.step) == (150, 10)
    assert cut.sums == {name: pytest.approx(pair) for name, pair in whole.sums.items()}
    assert len(cut.last_lines.splitlines()) == 3


def test_the_next_round_starts_from_the_given_state_with_new_seeds(lanes):
    lanes.main(lanes.slice("rounds", [10]))
    lanes.main(lanes.slice("rounds", [10], round_=1, state_key=lanes.key("rounds", 0, 0, 10)))
    oracle = Learner(lanes.model)
    oracle.import_state(lanes.read("rounds", 10)[0])
    oracle.set_seeds(4, 1, 0)
    oracle.train((SHARDS[1]["x"], SHARDS[1]["y"]), *Schedule(**NUMBERS).order(1, 0), 0, 10)
    tensors, metadata = lanes.read("rounds", 10, round_=1)
    assert state.digest(tensors) == state.digest(oracle.export_state())
    progress = Progress.unpack(metadata)
    assert (progress.round, progress.examples, progress.sums["loss"][1]) == (1, 149, 149)


def test_a_lane_notes_each_kind_of_processor_it_trained_on_in_its_round(lanes):
    lanes.main(lanes.slice("processors", [3]))
    tensors, metadata = lanes.read("processors", 3)
    progress = Progress.unpack(metadata)
    assert progress.processors == [processor.present()]
    progress.processors = ["another: avx"]
    state.save(lanes.folder / "moved", tensors, progress.pack())
    lanes.objects.create(lanes.at("trainer/processors/moved"), (lanes.folder / "moved").read_bytes())
    lanes.main(lanes.slice("processors", [10], start=3, state_key="trainer/processors/moved"))
    assert Progress.unpack(lanes.read("processors", 10)[1]).processors == sorted(["another: avx", processor.present()])
    lanes.main(lanes.slice("processors", [10], round_=1, state_key=lanes.key("processors", 0, 0, 10)))
    assert Progress.unpack(lanes.read("processors", 10, round_=1)[1]).processors == [processor.present()]


def test_the_start_is_saved_when_asked_for(lanes):
    lanes.main(lanes.slice("start", [0, 10]))
    tensors, metadata = lanes.read("start", 0)
    initial = Learner(lanes.model).export_state()
    kept = {name for name in initial if not name.startswith("seed.")}
    assert state.digest({n: tensors[n] for n in kept}) == state.digest({n: initial[n] for n in kept})
    assert Progress.unpack(metadata).step == 0
    assert lanes.read("start", 10)


def test_a_state_that_exists_is_done_already(lanes):
    lanes.objects.create(lanes.at(lanes.key("twin", 0, 0, 10)), b"the twin's")
    assert lanes.main(lanes.slice("twin", [10]))["step"] == 10
    assert lanes.objects.read(lanes.at(lanes.key("twin", 0, 0, 10))) == b"the twin's"


def test_a_warm_container_keeps_the_learner_and_notices_another_shard(lanes):
    lanes.main(lanes.slice("warm", [10]))
    again = lanes.slice("warm-2", [10], round_=1, state_key=lanes.key("warm", 0, 0, 10), shard="warm/0")
    assert lanes.main(again)["warm"] is True  # under the key of shard 0 lies shard 1 now
    lanes.main(lanes.slice("warm-3", [10], round_=1, state_key=lanes.key("warm", 0, 0, 10)))
    digests = {state.digest(lanes.read(run, 10, round_=1)[0]) for run in ("warm-2", "warm-3")}
    assert len(digests) == 1
    assert lanes.main(lanes.slice("warm-4", [10], learning_rate=0.5))["warm"] is False


def test_a_fresh_start_forgets_the_learner_and_gives_the_same_bits(lanes):
    lanes.main(lanes.slice("used", [10]))
    answer = lanes.main(lanes.slice("fresh", [10], fresh=True))
    assert answer["step"] == 10 and not answer["warm"]
    assert state.digest(lanes.read("fresh", 10)[0]) == state.digest(lanes.read("used", 10)[0])


def test_a_container_that_cannot_be_as_new_answers_so_and_ends(lanes):
    trainer = load("trainer")
    ballast = np.ones(80 << 20, np.uint8)  # what some library might keep
    assert trainer.main(lanes.slice("heavy", [10], fresh=True)) == {"used": True, "run": "heavy", "lane": 0}
    assert trainer.ENDED and ballast.any()


def test_the_next_rounds_shard_is_fetched_meanwhile(lanes):
    urls = {name: lanes.get(f"trainer/1/{name}.npy") for name in ("x", "y")}
    lanes.main(lanes.slice("ahead", [10], next={"shard": "ahead/1", **urls}))
    shards = lanes.main.__globals__["SETS"]
    end = time.monotonic() + 10
    while shards._etags.get("ahead/1", {}).keys() != {"x", "y"}:
        assert time.monotonic() < end, "the shard was not fetched"
        time.sleep(0.01)
    assert [key for key in shards._etags if key.startswith("ahead/")] == ["ahead/0", "ahead/1"]
    assert lanes.main(lanes.slice("ahead", [10], round_=1, state_key=lanes.key("ahead", 0, 0, 10)))["step"] == 10


def test_a_next_shard_that_cannot_be_fetched_harms_nobody(lanes):
    gone = {name: lanes.get("trainer/none") for name in ("x", "y")}
    assert lanes.main(lanes.slice("harmless", [10], next={"shard": "harmless/1", **gone}))["step"] == 10


def test_learning_rate_micro_and_validation(lanes):
    held = {f"validation_{name}": lanes.get(f"trainer/held/{name}.npy") for name in ("x", "y")}
    piece = lanes.slice("rate", [10], learning_rate=0.25, micro=5, weighs_by_accuracy=True)
    lanes.main({**piece, "get": piece["get"] | held})
    oracle = Learner(lanes.model, 0.25)
    oracle.set_seeds(4, 0, 0)
    oracle.train((SHARDS[0]["x"], SHARDS[0]["y"]), *Schedule(**NUMBERS).order(0, 0), 0, 10, 5)
    tensors, metadata = lanes.read("rate", 10)
    assert state.digest(tensors) == state.digest(oracle.export_state())
    assert Progress.unpack(metadata).validation == oracle.evaluate((HELD["x"], HELD["y"]), "here")


def validated(lanes, run, rows, **changes):
    """Return the slice of a round that begins with the evaluation of rows of a sample of 25 of the held-out set."""
    get = {f"validation_{name}": lanes.get(f"trainer/held/{name}.npy") for name in ("x", "y")}
    value = lanes.slice(run, [10], round_=1, lane=1, **changes)
    said = {"set": f"{run}/held", "sample": [40, 25, 4], "rows": rows}
    return {**value, "get": value["get"] | get, "validation": said}


def test_a_rounds_start_is_evaluated_before_it_is_trained_on(lanes):
    lanes.main(lanes.slice("watched", [10]))
    start = lanes.key("watched", 0, 0, 10)
    lanes.main(lanes.slice("unwatched", [10], round_=1, lane=1, state_key=start))
    lanes.main(validated(lanes, "watched", [5, 25], state_key=start))
    expected = state.digest(lanes.read("unwatched", 10, 1, 1)[0])
    tensors, metadata = lanes.read("watched", 10, 1, 1)
    assert state.digest(tensors) == expected
    oracle = Learner(lanes.model)
    oracle.import_state(lanes.read("watched", 10)[0])
    rows = sample(40, 25, 4)[5:]
    assert len({*rows}) == 20 and max(rows) < 40
    oracle.evaluate((HELD["x"][rows], HELD["y"][rows]), "here")
    assert Progress.unpack(metadata).start_sums == oracle.sums()


def test_a_lane_without_a_row_of_the_sample_says_nothing_of_it(lanes):
    lanes.main(lanes.slice("rowless", [10]))
    lanes.main(validated(lanes, "rowless", [25, 25], state_key=lanes.key("rowless", 0, 0, 10)))
    assert not Progress.unpack(lanes.read("rowless", 10, 1, 1)[1]).start_sums


def test_averages_of_an_optimizers_moving_weights_are_evaluated_as_they_would_end(lanes, tmp_path):
    entry = keras.Input((6, 6))
    model = keras.Model(entry, keras.layers.Dense(3)(keras.layers.Flatten()(entry)))
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.SGD(0.01, use_ema=True, ema_momentum=0.9), loss, metrics=["accuracy"])
    model.save(tmp_path / "m.keras")
    learner = Learner(tmp_path / "m.keras")
    shard = (SHARDS[0]["x"], SHARDS[0]["y"])
    learner.train(shard, np.arange(60), np.array([0, 30, 60]), 0, 2)
    before = {name: tensor.copy() for name, tensor in learner.export_state().items()}
    assert learner.finishes

    class Held:
        def open(self, key, urls):
            return HELD

    params = {"validation": {"set": "-", "sample": [40, 40, 0], "rows": [0, 40]}, "round": 1, "get": {}}
    sums = validate(learner, {**params, "held_arrays": [], "inputs": None, "outputs": None}, Held())
    assert state.digest(learner.export_state()) == state.digest(before)
    learner.finish()
    learner.evaluate((HELD["x"], HELD["y"]), "here")
    assert sums == learner.sums()


def test_a_share_is_evaluated_as_plain_keras_does(lanes, tmp_path):
    lanes.main(lanes.slice("evaluated", [10]))
    value, at = evaluation(lanes, "evaluated")
    answer = lanes.main(value)
    assert {name: answer[name] for name in ("run", "wave", "round", "lane", "start", "step")} == {
        "run": "evaluated", "wave": 3, "round": 2, "lane": 0, "start": 0, "step": 1,
    }  # fmt: skip
    lanes.objects.download(at["final.keras"], tmp_path / "final.keras")
    plain = keras.models.load_model(tmp_path / "final.keras")
    expected = plain.evaluate(HELD["x"][8:40], HELD["y"][8:40], verbose=0, return_dict=True)
    found = json.loads(lanes.objects.read(at["scores"]))
    assert found["scores"] == pytest.approx(expected, abs=1e-6)
    assert {name: total / count for name, (total, count) in found["sums"].items()} == pytest.approx(found["scores"])
    assert found["sums"]["accuracy"][1] == 32
    tensors, _ = lanes.read("evaluated", 10)
    weights = {name: tensor for name, tensor in tensors.items() if name.startswith(("trainable", "weight"))}
    assert found["weights_sha256"] == state.digest(weights)
    assert (found["seconds"], found["memory"]) == (answer["seconds"], answer["memory"])


def test_a_witness_makes_the_same_file_with_another_learner_and_leaves_none(lanes, action):
    lanes.main(lanes.slice("witnessed", [10]))
    value, at = evaluation(lanes, "witnessed")
    lanes.main(value)
    seen = lanes.at("trainer/witnessed/seen")
    action("trainer")({**value, "lane": 1, "final": None, "put": lanes.objects.presign_put(seen)})
    found, witness = (json.loads(lanes.objects.read(key)) for key in (at["scores"], seen))
    assert found["final_md5"] == hashlib.md5(lanes.objects.read(at["final.keras"])).hexdigest()
    same = ("scores", "sums", "weights_sha256", "final_md5")
    assert [witness[name] for name in same] == [found[name] for name in same]


def test_an_evaluated_share_that_exists_is_left_alone(lanes):
    lanes.main(lanes.slice("evaluated-twice", [10]))
    value, at = evaluation(lanes, "evaluated-twice", final=None)
    lanes.objects.create(at["scores"], b"the twin's")
    assert lanes.main(value)["step"] == 1
    assert lanes.objects.read(at["scores"]) == b"the twin's"
    assert not lanes.objects.sizes("trainer/evaluated-twice/final")


def test_an_evaluation_that_was_queued_too_long_does_nothing(lanes):
    value, _ = evaluation(lanes, "evaluated-late", deadline=time.time() + 4.9)
    late = {"late": True, "run": "evaluated-late", "wave": 3, "round": 2, "lane": 0, "start": 0, "step": 0}
    assert lanes.main(value) == late


def test_queued_too_long(lanes, monkeypatch):
    gone = {"get": {}, "put": []}
    late = {"late": True, "run": "late", "wave": 3, "round": 0, "lane": 0, "start": 7, "step": 7}
    assert lanes.main(lanes.slice("late", [], start=7, deadline=time.time() + 4.9) | gone) == late
    monkeypatch.setenv("__OW_DEADLINE", str(int((time.time() + 4.9) * 1000)))
    assert lanes.main(lanes.slice("late", [], start=7) | gone) == late


def test_a_near_deadline_ends_the_slice_at_the_first_stop(lanes, monkeypatch):
    # the planned end is over, and there is time to get there
    monkeypatch.setattr("common.training.lane.MARGIN_SECONDS", 1000)
    answer = lanes.main(lanes.slice("near", [1, 10], deadline=time.time() + 1000))
    assert answer["step"] == 1
    assert Progress.unpack(lanes.read("near", 1)[1]).examples == 16


def test_errors_are_sentences(lanes):
    with pytest.raises(ModelError) as error:
        lanes.main(lanes.slice("nan", [10], learning_rate=1e38))
    assert str(error.value).startswith("round 0, lane 0, steps 0..10: loss became ")
    with pytest.raises(ParameterError) as error:
        lanes.main({"kind": "train", "run": "r"})
    assert str(error.value).startswith("got no wave, round, lane, start, deadline, ")
    for kind in ({}, {"kind": ["train"]}, {"kind": "judge"}):
        with pytest.raises(ParameterError, match=r"^kind: got .+, expected a slice as planner and reducer make it$"):
            lanes.main({**lanes.slice("unkind", [10]), "kind": None, **kind})
    with pytest.raises(ModelError, match=f"model: got a file of sha256 {lanes.sha256}, expected 00 as in the plan"):
        lanes.main(lanes.slice("other", [10], model_sha256="00"))
    piece = lanes.slice("gone", [10])
    with pytest.raises(TransferError, match="trainer/none: got status 404 NoSuchKey") as error:
        lanes.main({**piece, "get": {**piece["get"], "x": lanes.get("trainer/none")}})
    assert "Signature" not in str(error.value)


def test_no_more_shards_than_the_limit_stay_on_disk(lanes, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    arrays = Arrays(limit=2)
    urls = [{name: lanes.get(f"trainer/{shard}/{name}.npy") for name in ("x", "y")} for shard in (0, 1)]
    for key, shard in [("a", 0), ("b", 1), ("a", 0), ("c", 1)]:
        opened = arrays.open(key, urls[shard])
        np.testing.assert_array_equal(opened["x"], SHARDS[shard]["x"])
    files = {path.relative_to(tmp_path).parts[1:] for path in tmp_path.rglob("*.npy")}
    expected = {hashlib.sha256(key.encode()).hexdigest() for key in ("a", "c")}
    assert files == {(folder, f"{name}.npy") for folder in expected for name in ("x", "y")}
    del arrays
    assert not any(tmp_path.iterdir())
