"""A large dataset split by waves of splitters: the same objects, to the byte, as of one splitter."""

import gzip
import io
import json
import multiprocessing
import os
import random
import signal

import numpy as np
import pytest

from common.errors import AbsentError, RunError
from common.plan import plan as plans
from common.split import driver, pieces, slices
from common.storage import keys, objects
from common.storage.objects import Objects
from common.storage.run import Run
from tests.archives import encoded, zipped

from .conftest import keras_file, npz
from .test_bad_input import npy
from .test_datasets import MODEL, X, Y, csv, parquet, pyarrow_parquet, table
from .test_splitter import forget

SMALL = 600  # bytes of a slice: of the table's 60 rows of 20 bytes, 30; of 200 images of 65, 9
KEEP = ("shards/", *keys.HELD_OUT)


def stored(**values):
    """Return the bytes of an .npz that is not compressed."""
    file = io.BytesIO()
    np.savez(file, **values)
    return file.getvalue()


def written(run):
    """Return the bytes of all objects that a split leaves, by key."""
    data = data_of(run)
    found = {key for part in KEEP for key in data.sizes(part)}
    return {key: data.objects.read(data.at(key)) for key in found}


def data_of(run):
    """Return the folder of a run's split."""
    return plans.read(run).data(run.objects)


def taken(run):
    """Return what a split leaves, and remove it, so that another run makes its own."""
    found = written(run)
    forget(data_of(run))
    return found


def drive(action, given, name, answer=None):
    """Do what run-steps does until the split is done; return the calls of the wave."""
    told, params = [], {}
    answer = answer or (lambda value: action("splitter")({"s3": given["s3"], **value}))
    for _ in range(60):
        said = action("splitter")({"s3": given["s3"], "run": name, "driver": "d", **params})
        if not said["pending"]:
            return told
        params = {"items": [answer(value) for value in said["value"]]}
        told.append(said["value"])
    raise AssertionError(told[-1])


@pytest.fixture
def both(action, given, s3, monkeypatch):
    """Give a function that splits in one go and in slices: objects and run of the one, run and waves of the other."""

    def make(small=SMALL, **said):
        whole, cut = ({**given, **said, "run": f"{given['run'][:50]}-{form}"} for form in ("whole", "cut"))
        runs = [Run(Objects(s3.params), action("planner")(one)["run"]) for one in (whole, cut)]
        assert drive(action, given, runs[0].name) == []
        expected = taken(runs[0])
        monkeypatch.setattr(slices, "SLICE_BYTES", small)
        return expected, *runs, drive(action, given, runs[1].name)

    return make


IMAGES = np.random.default_rng(2).integers(0, 256, (60, 3, 1, 1), np.uint8)
FORMS = {
    "npz": (stored(x=X, y=Y), {}, 3),
    "sorted by label": (stored(x=X[np.argsort(Y)], y=np.sort(Y)), {}, 3),
    "npz, compressed": (npz(x=X, y=Y), {}, 1),
    "Fortran order": (stored(x=np.asfortranarray(X), y=Y), {}, 1),
    "a test set of its own": (stored(x_train=X[:40], y_train=Y[:40], x_test=X[40:], y_test=Y[40:]), {}, 3),
    "weights": (stored(x=X, y=Y, w=np.arange(60.0)), {"sample_weight": "w", "class_weight": "balanced"}, 3),
    "groups": (stored(x=X, y=Y, g=np.arange(60) // 7), {"group": "g", "validation": 0.2}, 3),
    "labels of text": (stored(x=X, y=np.array(["a", "b", "c", "d"])[Y]), {}, 3),
    "csv": (csv(table()), {}, 1),
    "csv, rows dropped": (csv(table().assign(wide=[None, *X[1:, 1]])), {"missing": "drop"}, 1),
    "csv.gz": (gzip.compress(csv(table())), {}, 1),
    "parquet": (parquet(table()), {"test": 0.3}, 3),
    "parquet of groups": (pyarrow_parquet(table(), row_group_size=7), {}, 3),
    "parquet, rows dropped": (parquet(table().assign(wide=[None, *X[1:, 1]])), {"missing": "drop"}, 1),
    "images": (zipped({f"{y}/{k}.png": encoded(IMAGES[k]) for k, y in enumerate(Y)}), {}, 1),
}


@pytest.mark.parametrize("name", FORMS)
def test_slices_leave_what_one_splitter_leaves(both, put, name):
    body, said, splitters = FORMS[name]
    model = put("data/slices.keras", keras_file(shape=(3, 1, 1), units=4) if name == "images" else MODEL)
    expected, whole, cut, told = both(
        model=model, dataset=put("d/slices", body), small=150 if name == "images" else SMALL, **said
    )
    assert written(cut) == expected
    assert len(told[0]) == min(splitters, len(slices.cut(plans.read(cut))))
    assert cut.find_json(keys.CLASSES) == whole.find_json(keys.CLASSES)
    for part in ("counts", "warnings"):
        assert cut.split()[part] == whole.split()[part]
    assert not data_of(cut).sizes(keys.PIECES) and not cut.objects.unfinished(data_of(cut).prefix)


@pytest.mark.parametrize("form", ["a file an array", "parts"])
def test_several_objects(both, put, form):
    rows = (slice(0, 9), slice(9, 60))
    dataset = {
        "a file an array": [put("d/x.npy", npy(X)), put("d/y.npy", npy(Y))],
        "parts": [put(f"d/{k}.npz", stored(x=X[part], y=Y[part])) for k, part in enumerate(rows)],
    }
    expected, _, cut, told = both(model=put("data/table.keras", MODEL), dataset=dataset[form])
    assert written(cut) == expected and len(told[0]) == 2


def test_large_pieces_are_copied_by_the_store(both, put, monkeypatch):
    copied, compose = [], objects.Objects.compose
    monkeypatch.setattr(objects.Objects, "compose", lambda *given: copied.append(given[1].key) or compose(*given))
    x = np.random.default_rng(1).integers(0, 256, (210, 512, 512), np.uint8)
    said = {"model": put("d/m.keras", keras_file(shape=(512, 512)))}
    expected, _, cut, told = both(32 << 20, dataset=put("d/large", stored(x=x, y=np.arange(210) % 5)), **said)
    assert written(cut) == expected and len(told[0]) == 2
    assert {key.removeprefix(data_of(cut).prefix) for key in copied} == {
        f"shards/{lane:02d}/x.npy" for lane in range(3)
    }


@pytest.fixture
def begun(action, given, s3, put, monkeypatch):
    """Give a planned run of five slices, its parameters, and what one splitter makes of the same dataset."""
    said = {**given, "model": put("data/table.keras", MODEL), "dataset": put("d/begun", stored(x=X, y=Y))}
    whole = Run(Objects(s3.params), action("planner")({**said, "run": given["run"][:50] + "-whole"})["run"])
    drive(action, given, whole.name)
    expected = taken(whole)
    run = Run(whole.objects, action("planner")(said)["run"])
    monkeypatch.setattr(slices, "SLICE_BYTES", 250)
    assert len(slices.cut(plans.read(run))) == 5
    return run, said, expected


def test_a_splitter_that_ends_early_is_followed_by_another_for_the_rest(action, begun, monkeypatch):
    run, given, expected = begun
    ended = iter([True, False, True, *[False] * 20])
    real, carried = pieces.write, []

    def write(run, plan, piece, *others):
        if next(ended):
            raise MemoryError("killed")
        carried.append(piece.number)
        real(run, plan, piece, *others)

    monkeypatch.setattr(pieces, "write", write)

    def answer(value):
        try:
            return action("splitter")({"s3": given["s3"], **value})
        except MemoryError as error:
            return {"failed": str(error)}

    told = drive(action, given, run.name, answer)
    assert written(run) == expected
    assert sorted(carried) == [0, 1, 2, 3, 4]
    assert [[value["slices"] for value in wave] for wave in told] == [[(0, 1), (2,), (3, 4)], [(0,), (1, 3), (4,)]]


def test_a_splitter_stops_before_its_time_is_over(begun):
    run, _, _ = begun
    clock = iter(range(0, 1000, 10))
    plan = plans.read(run)
    assert pieces.carry_out(run, plan, slices.cut(plan), 100.0, lambda: float(next(clock))) == 4
    assert [piece.number for piece in slices.missing(data_of(run), slices.cut(plan))] == [4]


@pytest.mark.parametrize(
    ("item", "sentence", "times"),
    [
        ({"failed": "it ended"}, "slice 0 of the dataset failed 4 times, the last time: it ended", 4),
        ({"failed": "DatasetError: x: example 5 got NaN"}, "x: example 5 got NaN", 1),
        ({"slices": 0}, "slice 0 of the dataset failed 4 times, the last time: there was no time for it", 4),
        (None, "slice 0 of the dataset failed 4 times, the last time: there was no time for it", 4),
    ],
    ids=["died", "data", "slow", "nothing"],
)  # fmt: skip
def test_what_cannot_be_split_ends_the_run(action, begun, item, sentence, times):
    run, given, _ = begun
    asked = []
    with pytest.raises(RunError) as error:
        drive(action, given, run.name, lambda value: asked.append(value["wave"]) or item)
    assert str(error.value) == sentence
    assert len(set(asked)) == times and not any(data_of(run).sizes(part) for part in KEEP)


def test_a_wave_that_was_lost_is_written_again(action, begun):
    run, given, expected = begun
    said = action("splitter")({"s3": given["s3"], "run": run.name, "driver": "d"})
    lost = {"lost": "The wave could not begin: Redis: gone"}
    again = action("splitter")({"s3": given["s3"], "run": run.name, "driver": "d", **lost})
    assert [one["slices"] for one in again["value"]] == [one["slices"] for one in said["value"]]
    assert drive(action, given, run.name) and written(run) == expected


def test_the_join_is_told_when_all_pieces_are_there(action, begun):
    run, given, _ = begun
    values = action("splitter")({"s3": given["s3"], "run": run.name, "driver": "d"})["value"]
    for value in values:
        look = {"s3": given["s3"], "run": run.name, "look": True, "wave": value["wave"]}
        assert action("reducer")(look) == {"whole": False}
        assert action("splitter")({"s3": given["s3"], **value}) == {"run": run.name, "slices": len(value["slices"])}
    assert action("reducer")(look) == {"whole": True}


def test_a_dataset_that_is_replaced_between_two_slices(action, begun, put):
    run, given, _ = begun
    values = action("splitter")({"s3": given["s3"], "run": run.name, "driver": "d"})["value"]
    put("d/begun", stored(x=X + 1, y=Y))
    with pytest.raises(RunError, match="expected .* as planned"):
        action("splitter")({"s3": given["s3"], **values[0]})


def test_pieces_that_do_not_add_up_are_refused(action, begun):
    run, given, _ = begun
    values = action("splitter")({"s3": given["s3"], "run": run.name, "driver": "d"})["value"]
    for value in values:
        action("splitter")({"s3": given["s3"], **value})
    mark = slices.cut(plans.read(run))[1].mark_key
    held = data_of(run).find_json(mark)
    held["pieces"].pop("shards/00/x.npy")
    run.objects.replace(data_of(run).at(mark), json.dumps(held).encode())
    with pytest.raises(RunError, match=r"the pieces of shards/00/x\.npy have \d+ bytes, expected \d+"):
        drive(action, given, run.name)


def test_killed_splitters_leave_the_same(action, begun):
    """Splitters in processes of their own, killed at random moments, 20 in all; nothing half-written stays."""
    first, given, expected = begun
    dice, kills, run = random.Random(3), 0, first
    while kills < 20:
        kills += killed(action, given, run, dice)
        assert taken(run) == expected
        assert not data_of(run).sizes(keys.PIECES) and not run.objects.unfinished(data_of(run).prefix)
        run = Run(run.objects, action("planner")({**given, "run": f"killed-{kills}"})["run"])


def killed(action, given, run, dice):
    """Split a run, killing its splitters; return how many."""
    kills = 0

    def answer(value):
        nonlocal kills
        child = multiprocessing.get_context("fork").Process(target=splitter, args=(action, given["s3"], value))
        child.start()
        child.join(dice.uniform(0, 0.1) if kills < 5 else 60)
        if child.is_alive():
            os.kill(child.pid, signal.SIGKILL)
            kills += 1
        child.join()
        return {"slices": 0}

    drive(action, given, run.name, answer)
    return kills


def splitter(action, s3, value):
    objects.connect.cache_clear()  # a connection is not shared with the parent
    action("splitter")({"s3": s3, **value})


def test_a_twin_that_has_put_it_together_ends_nobodys_run(action, begun, monkeypatch):
    run, given, expected = begun
    for value in action("splitter")({"s3": given["s3"], "run": run.name, "driver": "d"})["value"]:
        action("splitter")({"s3": given["s3"], **value})
    missing, twin = driver.missing, {"s3": given["s3"], "run": run.name, "driver": "e"}

    def overtaken(*given):
        left = missing(*given)
        monkeypatch.setattr(driver, "missing", missing)
        assert action("splitter")(twin) == {"run": run.name, "pending": False, "value": []}
        return left

    monkeypatch.setattr(driver, "missing", overtaken)
    with pytest.raises(AbsentError):  # which is tried again
        action("splitter")({**twin, "driver": "d"})
    assert drive(action, given, run.name) == [] and written(run) == expected
