"""The evaluator after a whole run in process: planner, splitter, the reducer's turns and trainers, on a real store."""

import csv
import io
import json
from itertools import pairwise

import keras
import numpy as np
import pytest
from keras import layers
from safetensors.numpy import load

from common.errors import RunError
from common.plan import plan as plans
from common.plan.schedule import sample
from common.rounds import drive, pace, rounds, slices, warm_up
from common.storage import keys, state
from common.storage.run import Run
from common.training import processor
from common.training.model import Learner

from .conftest import alone

CENTRES = np.random.default_rng(21).integers(60, 190, (4, 8, 8))


def examples(count, seed):
    """Return noisy copies of four pictures."""
    random = np.random.default_rng(seed)
    labels = random.integers(0, 4, count)
    return np.clip(CENTRES[labels] + random.normal(0, 50, (count, 8, 8)), 0, 255).astype(np.uint8), labels


def model():
    keras.utils.set_random_seed(12)
    body = [
        layers.Rescaling(1 / 255),
        layers.Flatten(),
        layers.Dense(12, "relu"),
        layers.BatchNormalization(momentum=0.8),
    ]
    net = keras.Sequential([keras.Input((8, 8)), *body, layers.Dense(4, "softmax")])
    net.compile(keras.optimizers.Adam(0.01), "sparse_categorical_crossentropy", metrics=["accuracy"])
    return net


class Job:
    """A run driven to its end as the compositions drive it."""

    def __init__(self, s3, action, folder, name, **parameters):
        self.args = {"s3": s3.params, "run": name}
        self.action, self.folder, self.run = action, folder, Run(alone(s3), name)
        (x, y), (xt, yt) = examples(400, seed=1), examples(2100, seed=2)
        np.savez(folder / "d.npz", x_train=x, y_train=y, x_test=xt, y_test=yt)
        model().save(folder / "m.keras")
        for file in ("d.npz", "m.keras"):
            s3.client.upload_file(str(folder / file), s3.bucket, f"evaluator/{file}")
        given = {"dataset": "evaluator/d.npz", "model": "evaluator/m.keras", **parameters}
        self.test = (xt, yt)
        action("planner")({**self.args, **given})
        warm_up.give_up(self.run, None)  # nobody waits for warm trainers
        assert action("splitter")(self.args)["pending"] is False
        self.train()

    def train(self):
        trainer, wave, pending = self.action("trainer"), None, True
        while pending:
            turn = drive.Turn("me", wave, [], None, 1e12, pace.Limits(6000, 30))
            started, pending = drive.take(self.run, plans.read(self.run), turn)
            wave = started.wave if started else wave
            for value in slices.values(self.run, plans.read(self.run), started) if started else []:
                trainer(json.loads(json.dumps(value)))

    def read(self, key):
        return self.run.objects.read(self.run.at(key))

    def file(self, key):
        path = self.folder / key.replace("/", "-")
        path.write_bytes(self.read(key))
        return path

    def load(self, key):
        return keras.models.load_model(self.file(key))


@pytest.fixture(scope="module")
def monkeypatch_module():
    """Give a monkeypatch that outlives one test."""
    with pytest.MonkeyPatch.context() as patch:
        yield patch


@pytest.fixture(scope="module")
def job(s3, action, tmp_path_factory, monkeypatch_module):
    folder = tmp_path_factory.mktemp("evaluator")
    monkeypatch_module.setenv("__OW_API_HOST", "http://127.0.0.1:9")  # does not answer: stock limits
    return Job(s3, action, folder, "evaluator", workers=3, epochs=4, batch_size=32, learning_rate=0.02, seed=3)


@pytest.fixture(scope="module")
def result(job):
    return job.action("evaluator")(job.args)


def test_result_is_plain_json_and_is_kept(job, result):
    text = json.dumps(result, allow_nan=False)
    assert json.loads(text) == result == json.loads(job.read(keys.REPORT))
    assert set(result) == {
        "run", "accuracy", "loss", "metrics", "epochs", "passes", "rounds", "seconds", "activations",
        "gb_seconds_estimated", "weights_sha256", "final", "processors", "warnings", "validation", "stopped",
        "memory", "averaging",
    }  # fmt: skip
    assert (result["run"], result["activations"], result["warnings"]) == ("evaluator", 1 + 1 + 3 + 10 + 26 + 1, [])
    assert (result["epochs"], result["passes"]) == (4, 4)
    assert result["validation"] == {"set": "test", "examples": 2100, "rows": 96, "frequency": 3}
    assert list(result["seconds"]) == ["split", "train", "evaluate", "total"]
    assert all(value > 0 for value in result["seconds"].values())
    assert result["gb_seconds_estimated"] > 0
    counts = {kind: held["count"] for kind, held in result["averaging"].items()}
    # Adam's slots and the weights; batch norm's two averages; Adam's iterations and rate
    assert counts == {"mean": 3 * 6, "moments": 0, "forward": 2, "first": 2}
    estimated, measured = result["memory"]["estimated"], result["memory"]["measured"]
    assert 150 << 20 < estimated < 300 << 20 and measured > 150 << 20  # this process holds the other tests' models, too
    assert result["processors"] == [processor.present()]
    assert result["metrics"] == {"accuracy": result["accuracy"]}
    assert result["accuracy"] > 0.9


def test_plain_keras_finds_the_same_numbers_on_the_whole_test_set(job, result):
    plain = job.load("final.keras")
    expected = plain.evaluate(*job.test, verbose=0, return_dict=True)
    assert {"loss": result["loss"], **result["metrics"]} == pytest.approx(expected, abs=1e-6)
    assert result["final"] == f"s3://{job.run.objects.bucket}/runs/evaluator/final.keras"


def test_two_of_three_lanes_have_evaluated_a_half_each(job, result):
    shares = [json.loads(job.read(keys.scores_key(keys.model_key(8), lane))) for lane in range(2)]
    assert [share["sums"]["accuracy"][1] for share in shares] == [1056, 1044]
    assert shares[0]["sums"] != shares[1]["sums"]
    assert [share["weights_sha256"] for share in shares] == [result["weights_sha256"]] * 2
    assert len(job.run.sizes(keys.SCORES)) == 2


def test_final_model_holds_the_last_average_slots_included(job, result):
    tensors = load(job.read(keys.model_key(8)))
    weights = {name: tensor for name, tensor in tensors.items() if name.startswith(("trainable", "weight"))}
    assert result["weights_sha256"] == state.digest(weights)
    got = Learner(job.file("final.keras")).export_state()
    for name in tensors.keys() - {name for name in tensors if name.startswith("seed")}:
        np.testing.assert_array_equal(got[name], tensors[name], err_msg=name)
    rates = [float(tensor) for name, tensor in got.items() if name.endswith("/learning_rate")]
    assert rates == [pytest.approx(0.02)]


def validated(job, number):
    """Return what plain Keras finds of a round's average on the sample: of every third one, and of the last."""
    if number + 1 not in (3, 6, 8):
        return None, None
    learner = Learner(job.folder / "m.keras", 0.02)
    learner.import_state(load(job.read(keys.model_key(number + 1))))
    rows, (x, y) = sample(2100, 96, 3), job.test
    return tuple(pytest.approx(value, abs=1e-5) for value in learner.model.evaluate(x[rows], y[rows], verbose=0))


def test_history_is_the_lanes_sums(job, result):
    for number, row in enumerate(result["rounds"]):
        lanes = [
            state.Progress.unpack(state.read_header(job.read(keys.state_key(number, lane, steps)))[1])
            for lane, steps in rounds.look(job.run, plans.read(job.run), number).steps.items()
        ]
        totals = {name: np.sum([lane.sums[name] for lane in lanes], axis=0) for name in ("loss", "accuracy")}
        expected = {name: pytest.approx(total / count) for name, (total, count) in totals.items()}
        seconds = pytest.approx(max(lane.activation_seconds for lane in lanes), abs=1e-3)
        examples = sum(lane.examples for lane in lanes)
        expected |= dict(zip(("val_loss", "val_accuracy"), validated(job, number), strict=True))
        assert row == {"round": number, **expected, "examples": examples, "seconds": seconds}
        assert totals["loss"][1] == examples
    assert [row["round"] for row in result["rounds"]] == list(range(8))
    assert sum(row["examples"] for row in result["rounds"]) == 4 * 400
    rows = list(csv.DictReader(io.StringIO(job.read(keys.HISTORY).decode())))
    assert [{name: float(cell) if cell else None for name, cell in row.items()} for row in rows] == result["rounds"]
    assert b"<polyline" in job.read(keys.REPORT_PAGE)


def test_a_second_call_changes_nothing(job, result):
    before = job.run.objects.head(job.run.at(keys.FINAL))
    assert job.action("evaluator")(job.args) == result
    assert job.run.objects.head(job.run.at(keys.FINAL)) == before


def test_one_worker_alone_is_plain_keras(s3, action, tmp_path):
    job = Job(s3, action, tmp_path, "alone", workers=1, epochs=2, batch_size=16, validation=0.2)
    action("evaluator")(job.args)
    plain = model()
    plain.optimizer.build(plain.trainable_variables)
    plan = plans.read(job.run)
    data = plan.data(job.run.objects)
    bodies = [data.objects.read(data.at(keys.shard_key(0, name))) for name in ("x", "y")]
    x, y = (np.load(io.BytesIO(body)) for body in bodies)
    for number in range(plan.rounds):
        order, bounds = plan.schedule().order(number, 0)
        for a, b in pairwise(bounds):
            plain.train_on_batch(x[order[a:b]], y[order[a:b]])
    final = job.load("final.keras")
    for got, expected in zip(
        [*final.variables, *final.optimizer.variables], [*plain.variables, *plain.optimizer.variables], strict=True
    ):
        np.testing.assert_allclose(got.numpy(), expected.numpy(), rtol=0, atol=1e-6, err_msg=got.path)
    assert int(final.optimizer.iterations) == 2 * 20


def test_a_run_that_is_not_trained_is_refused(job, s3):
    name = "untrained"
    job.action("planner")({"s3": s3.params, "run": name, "dataset": "evaluator/d.npz", "model": "evaluator/m.keras"})
    sentence = f"^run {name}: got 0 of 2 shares of the held-out set, expected all$"
    with pytest.raises(RunError, match=sentence):
        job.action("evaluator")({"s3": s3.params, "run": name})
