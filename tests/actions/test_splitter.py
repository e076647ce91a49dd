"""The splitter on a real store: every example once, with its own label, in shards of the planned sizes."""

import io
import json
import time
import tracemalloc

import numpy as np
import pytest

from common.data.arrays import Array, Pair
from common.data.columns import Columns, Input, Label
from common.errors import RunError
from common.plan import plan as plans
from common.plan.plan import Model, Output
from common.split import split as splits
from common.storage.objects import Objects
from common.storage.run import Run
from tests.plans import plan_of

from .conftest import arrays, keras_file, npz


def read(s3, key):
    return np.load(io.BytesIO(s3.client.get_object(Bucket=s3.bucket, Key=key)["Body"].read()), allow_pickle=False)


def rows(x, y):
    """Return the set of (example's bytes, label): all examples of `arrays` differ."""
    return {(example.tobytes(), label.tobytes()) for example, label in zip(x, y, strict=True)}


def split(action, given):
    run = Run(Objects(given["s3"]), action("planner")(given)["run"])
    assert action("splitter")({"s3": given["s3"], "run": run.name}) == {"run": run.name, "pending": False, "value": []}
    return plans.read(run).data(run.objects).prefix


def shards(s3, at, workers):
    return [(read(s3, f"{at}shards/{k:02d}/x.npy"), read(s3, f"{at}shards/{k:02d}/y.npy")) for k in range(workers)]


def test_every_example_with_its_label_in_one_shard(action, given, s3):
    held = arrays()
    at = split(action, given)
    found = shards(s3, at, 3)
    assert [len(x) for x, _ in found] == [67, 67, 66] and all(x.dtype == np.uint8 for x, _ in found)
    assert rows(*map(np.concatenate, zip(*found, strict=True))) == rows(held["x_train"], held["y_train"])
    assert all(np.bincount(y).min() >= 13 for _, y in found)  # 40 of each class over three shards
    np.testing.assert_array_equal(read(s3, f"{at}test/x.npy"), held["x_test"])
    np.testing.assert_array_equal(read(s3, f"{at}test/y.npy"), held["y_test"])


def test_a_fraction_is_held_out(action, given, s3):
    held = arrays()
    at = split(action, {**given, "validation": 0.1})
    found = [*shards(s3, at, 3), (read(s3, f"{at}validation/x.npy"), read(s3, f"{at}validation/y.npy"))]
    assert [len(x) for x, _ in found] == [60, 60, 60, 20]
    assert rows(*map(np.concatenate, zip(*found, strict=True))) == rows(held["x_train"], held["y_train"])


def test_a_validation_file_serves_where_there_is_no_test_set(action, given, s3, put):
    held = arrays()
    train = {"x": held["x_train"].astype(np.float64) / 3, "y": held["y_train"].astype(np.int64)}
    other = {"x": held["x_test"].astype(np.float64), "y": held["y_test"].astype(np.int64)}
    at = split(
        action,
        {**given, "dataset": put("data/train.npz", npz(**train)), "validation": put("data/val.npz", npz(**other))},
    )
    x, y = read(s3, f"{at}validation/x.npy"), read(s3, f"{at}validation/y.npy")
    assert (x.dtype, y.dtype) == (np.float32, np.int64)
    np.testing.assert_array_equal(x, other["x"].astype(np.float32))
    assert rows(*map(np.concatenate, zip(*shards(s3, at, 3), strict=True))) == rows(
        train["x"].astype(np.float32), train["y"]
    )
    plan = json.loads(s3.client.get_object(Bucket=s3.bucket, Key=f"runs/{given['run']}/plan.json")["Body"].read())
    assert plan["evaluate_on"] == "validation" and len(plan["warnings"]) == 1


def forget(data):
    """Remove a split, as if no run had made it."""
    for key in data.sizes(""):
        data.objects.delete(data.at(key))


def test_a_split_that_is_cut_off_goes_on_and_writes_the_same(action, given, s3):
    run = Run(Objects(given["s3"]), action("planner")(given)["run"])
    plan = plans.read(run)
    data = plan.data(run.objects)
    action("splitter")({"s3": given["s3"], "run": run.name})
    whole = run.split()["sha256"]
    forget(data)
    run.objects.delete(run.at("split.json"))
    clock = iter([0.0, 0.0, 0.0, *[1e9] * 99])
    assert not splits.split(run, plan, 100.0, lambda: next(clock))
    assert len(data.sizes("shards/")) == 2 and not data.sizes("split.json") and not run.sizes("split.json")
    assert splits.split(run, plan, time.time() + 300)
    assert run.split()["sha256"] == whole and len(whole) == 8


def test_runs_that_agree_share_a_split(action, given, s3, monkeypatch):
    first, second = (Run(Objects(given["s3"]), f"shared-{n}") for n in (1, 2))
    action("planner")({**given, "run": first.name})
    data = plans.read(first).data(first.objects)
    forget(data)
    action("splitter")({"s3": given["s3"], "run": first.name})
    action("planner")({**given, "run": second.name, "epochs": 4, "learning_rate": 0.1})
    monkeypatch.setattr(splits, "scatter", None)  # nothing is split again
    action("splitter")({"s3": given["s3"], "run": second.name})
    made, found = first.split(), second.split()
    assert found == {**made, "seconds": 0.0, "activations": 1, "activation_seconds": 0.0}
    assert made["run"] == first.name and made["activations"] == 1 and made["seconds"] > 0
    assert sorted(data.sizes("users/")) == ["users/shared-1", "users/shared-2"]


@pytest.mark.parametrize(
    "changes",
    [{"seed": 1}, {"workers": 2}, {"validation": 0.1}, {"class_weight": "balanced"}, {"test": 0.2}, {"dataset": None}],
)
def test_runs_that_differ_in_the_split_share_none(action, given, s3, put, changes):
    changes = {**changes, **({"dataset": put("data/else.npz", npz(**arrays()))} if "dataset" in changes else {})}
    one, other = (Run(Objects(given["s3"]), f"differ-{n}-{next(iter(changes)).replace('_', '-')}") for n in (1, 2))
    action("planner")({**given, "run": one.name})
    action("planner")({**given, **changes, "run": other.name})
    assert plans.read(one).split != plans.read(other).split


def test_what_a_model_calls_its_inputs_and_outputs_makes_no_other_split():
    train = Pair((Array("x", (9, 3), "<f4"),), (Array("y", (9,), "<i8"),))
    known = {"dataset": (), "held": (), "parameters": {}, "train": train, "model": Model("0", (Output("", 3, "mse"),))}
    one, same, other = (
        plan_of(columns=Columns((Input(name, (column,)),), (Label(name, ("y",)),)), **known).split
        for name, column in (("a", "x"), ("b", "x"), ("a", "z"))
    )
    assert one == same != other


def test_what_a_killed_splitter_was_uploading_is_given_up(action, given, s3):
    action("planner")(dict(given))
    data = plans.read(run := Run(Objects(given["s3"]), given["run"])).data(run.objects)
    s3.client.create_multipart_upload(Bucket=s3.bucket, Key=f"{data.prefix}shards/00/x.npy")
    assert len(list(run.objects.unfinished(data.prefix))) == 1
    action("splitter")({"s3": given["s3"], "run": run.name})
    assert list(run.objects.unfinished(data.prefix)) == []


def test_a_split_that_lacks_an_object_is_made_again(action, given, s3):
    one, other = (Run(Objects(given["s3"]), f"lacks-{n}") for n in (1, 2))
    for run in (one, other):
        action("planner")({**given, "run": run.name})
    action("splitter")({"s3": given["s3"], "run": one.name})
    data = plans.read(one).data(one.objects)
    before = data.objects.read(data.at("shards/01/x.npy"))
    data.objects.delete(data.at("shards/01/x.npy"))
    action("splitter")({"s3": given["s3"], "run": other.name})
    assert data.objects.read(data.at("shards/01/x.npy")) == before and other.split()["counts"] == [67, 67, 66]
    forget(data)  # and where all of it was removed, for a run that had it
    action("splitter")({"s3": given["s3"], "run": one.name})
    assert data.objects.read(data.at("shards/01/x.npy")) == before


def test_many_chunks_give_the_same_shards(action, given, s3, monkeypatch):
    one = shards(s3, split(action, given), 3)
    monkeypatch.setattr("common.data.npy.CHUNK_BYTES", 500)
    many = shards(s3, split(action, {**given, "run": given["run"][:50] + "-b"}), 3)
    for (x, y), (other_x, other_y) in zip(one, many, strict=True):
        np.testing.assert_array_equal(x, other_x)
        np.testing.assert_array_equal(y, other_y)


@pytest.mark.parametrize("chunk", [500, 8 << 20])
def test_fortran_order_gives_the_same_shards(action, given, s3, put, monkeypatch, chunk):
    monkeypatch.setattr("common.data.npy.CHUNK_BYTES", chunk)
    ours = shards(s3, split(action, given), 3)
    turned = {name: np.asfortranarray(array) for name, array in arrays().items()}
    assert turned["x_train"].flags.f_contiguous and not turned["x_train"].flags.c_contiguous
    given |= {"dataset": put("data/fortran.npz", npz(**turned)), "run": given["run"][:50] + "-f"}
    for (x, y), (other_x, other_y) in zip(ours, shards(s3, split(action, given), 3), strict=True):
        np.testing.assert_array_equal(x, other_x)
        np.testing.assert_array_equal(y, other_y)


def test_a_dataset_that_changes_under_the_plan_is_refused(action, given, put):
    run = action("planner")(given)["run"]
    put(given["dataset"].removeprefix("s3://openwhisk-dl/"), npz(**arrays(train=300)))
    with pytest.raises(RunError, match="expected .* as planned"):
        action("splitter")({"s3": given["s3"], "run": run})


def test_class_numbers_may_be_floats(action, given, s3, put):
    held = arrays()
    floats = {name: array.astype(np.float64) if name[0] == "y" else array for name, array in held.items()}
    at = split(action, {**given, "dataset": put("data/floats.npz", npz(**floats))})
    found = shards(s3, at, 3)
    assert all(np.bincount(y.astype(int)).min() >= 13 for _, y in found)  # spread evenly, as integers are
    assert rows(*map(np.concatenate, zip(*found, strict=True))) == rows(
        held["x_train"], held["y_train"].astype(np.float32)
    )


def test_a_label_for_every_step(action, given, s3, put):
    held = arrays()
    steps = {name: array % 5 if name[0] == "x" else array for name, array in held.items()}
    steps |= {"y_train": steps["x_train"][:, 0], "y_test": steps["x_test"][:, 0]}
    dataset, model = put("data/steps.npz", npz(**steps)), put("data/steps.keras", keras_file(steps=(8,)))
    found = shards(s3, split(action, {**given, "dataset": dataset, "model": model}), 3)
    assert [y.shape for _, y in found] == [(67, 8), (67, 8), (66, 8)]
    assert all((x[:, 0] == y).all() for x, y in found)


def test_labels_as_large_as_images_are_never_held(action, given, s3, put, monkeypatch):
    monkeypatch.setattr("common.data.npy.CHUNK_BYTES", 1 << 20)
    images = np.zeros((200, 8, 8, 2000), np.float32) + arrays()["x_train"][..., None]
    held = {"x_train": images[..., 0], "y_train": images, "x_test": images[:40, ..., 0], "y_test": images[:40]}
    dataset = put("data/images.npz", npz(**held))
    model = put("data/images.keras", keras_file(steps=(8, 8), units=2000, loss="mse"))
    run = action("planner")({**given, "dataset": dataset, "model": model})["run"]
    tracemalloc.start()
    action("splitter")({"s3": given["s3"], "run": run})
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < images.nbytes / 2  # which is 51 MB; uploads hold three parts of 8 MB


def test_thin_classes_are_warned_of(action, given, s3, put):
    held = arrays()
    held["y_train"] = np.array([0] * 199 + [1], np.uint8)
    at = split(action, {**given, "dataset": put("data/thin.npz", npz(**held))})
    report = json.loads(s3.client.get_object(Bucket=s3.bucket, Key=f"{at}split.json")["Body"].read())
    assert report["warnings"] == ["1 classes have fewer examples than workers (3): some lanes never see them"]
