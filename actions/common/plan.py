"""The plan of a run: every number that decides its result, fixed once; used by the planner."""

import hashlib
import secrets
import tempfile
import time
from pathlib import Path
from typing import Any

from common import keras_file, params, run, shards
from common.dataset import Dataset, Pair, named
from common.errors import DatasetError, ModelError, ParameterError, RunError, StoreError
from common.request import asked, fetch_model, open_dataset
from common.schedule import Schedule, judges
from common.store import PART_BYTES, Location, Objects

Plan = dict[str, Any]
VERSION = 4
HELD_OUT = 0.2  # of the training set, where there is no test set and nothing is said of validation


def make(objects: Objects, given: dict[str, Any], name: str, model: Path) -> Plan:
    """Return a new run's plan; every check that headers allow is made here."""
    params.require(given)
    dataset = open_dataset(objects, "dataset", given["dataset"])
    train, test = dataset.training(), dataset.test()
    held = given.get("validation", None if test else HELD_OUT)
    file = open_dataset(objects, "validation", held) if isinstance(held, str) else None
    evaluated = [pair for pair in (test, file and file.held_out()) if pair]
    examples = train.x.shape[0] - held_out(train, held)
    full = {**params.complete(given, examples), "validation": held}
    keras = keras_file.read(model, given["model"]).for_labels(train.y.shape[1:])
    if full["weighting"] == "accuracy" and not keras.accuracy:
        raise ModelError("model: got no accuracy among its metrics, expected one as weighting is accuracy")
    for pair in (train, *evaluated):
        check_pair(keras, train, pair)
    plan = {
        "version": VERSION,
        "run": name,
        "given": asked(given),
        "parameters": full,
        "dataset": {**identity(dataset), "train": train.as_json(), "test": test and test.as_json()},
        "validation": file and identity(file),
        "model": {"sha256": sha256(model), "classes": keras.classes, "loss": keras.loss},
        **numbers(full, examples),
        **evaluation(full, train, evaluated[0] if evaluated else None, keras.means),
        "evaluate_on": "test" if test else "validation",
        "created": time.time(),
        "token": secrets.token_hex(16),  # by which the pipeline writes into the run's state; told to nobody else
        "warnings": warnings(dataset, given, test),
    }
    plan["warnings"] += fewer_steps(plan, keras.rates)  # its schedule refuses more rounds a pass than there are batches
    return plan


def fewer_steps(plan: Plan, rates: str | None) -> list[str]:
    """Return a warning where a learning-rate schedule counts on other steps than a lane's."""
    steps, full = schedule(plan), plan["parameters"]
    lane = sum(steps.steps(round_, 0) for round_ in range(plan["rounds"]))
    alone = plan["epochs"] * -(-sum(plan["counts"]) // full["batch_size"])
    if rates is None or plan["learning_rate"] is not None or lane == alone:
        return []
    return [f"{rates} goes by a lane's own steps, {lane} of batch {plan['batch']}, where one worker makes {alone}"]


def held_out(train: Pair, validation: float | str | None) -> int:
    """Return how many training examples a fraction holds out; DatasetError where none would be left."""
    if not isinstance(validation, float):
        return 0
    if train.x.shape[0] < 2:
        raise DatasetError("dataset: got one training example, expected two, as a fraction of them is held out")
    return shards.validation_count(train.x.shape[0], validation)


def warnings(dataset: Dataset, given: dict[str, Any], test: Pair | None) -> list[str]:
    """Return what a user should know of the dataset: what it lacks, and what nothing uses."""
    told = []
    if not test and "validation" in given:
        told.append("the dataset has no test set: the metrics are those of the validation set")
    if not test and "validation" not in given:
        told.append(f"the dataset has no test set: {HELD_OUT:.0%} of it is held out, and the metrics are of that part")
    if unused := dataset.unused():
        told.append(f"nothing uses {named(unused)} of the dataset")
    return told


def identity(dataset: Dataset) -> dict[str, str | int]:
    """Return what tells a dataset from another under the same name."""
    return {"bucket": dataset.at.bucket, "key": dataset.at.key, "etag": dataset.etag, "size": dataset.size}


def check_pair(keras: keras_file.KerasFile, train: Pair, pair: Pair) -> None:
    """Refuse a set that the model cannot take, or that differs in shape from the training set."""
    keras.check_inputs(pair.x.shape[1:])
    keras.check_labels(pair.y.shape[1:])
    if pair.x.shape[1:] != train.x.shape[1:] or pair.y.shape[1:] != train.y.shape[1:]:
        raise DatasetError(f"{pair.x.name}: got shape {pair.x.shape[1:]}, expected {train.x.shape[1:]} as in training")


def numbers(full: dict[str, Any], examples: int) -> dict[str, Any]:
    """Return the numbers of the schedule, at the plan's top level."""
    if examples < full["workers"]:
        raise ParameterError(f"workers: got {full['workers']}, expected at most one per training example ({examples})")
    return {
        "workers": full["workers"],
        "epochs": params.passes(full),
        "rounds": full["rounds"],
        "batch": full["local_batch_size"],
        "seed": full["seed"],
        "learning_rate": full["learning_rate"],
        "outer_momentum": full["outer_momentum"],
        "optimizer_state": full["optimizer_state"],
        "weighting": full["weighting"],
        "counts": shards.shard_counts(examples, full["workers"]),
    }


def evaluation(full: dict[str, Any], train: Pair, file: Pair | None, means: bool) -> dict[str, Any]:
    """Return how many examples the model is judged on (without a file, a fraction of the training set) and by how many.

    Where some metric is no mean over examples, one lane judges them all.
    """
    examples = file.x.shape[0] if file else shards.validation_count(train.x.shape[0], full["validation"])
    return {"held_out": examples, "judges": judges(full["workers"], examples) if means else 1}


def evaluators(plan: Plan) -> int:
    """Return how many lanes judge: two at least where there are as many, so that none is believed alone."""
    return int(max(plan["judges"], min(2, plan["workers"])))


def schedule(plan: Plan) -> Schedule:
    """Return the plan's schedule."""
    return Schedule(**schedule_numbers(plan))


def schedule_numbers(plan: Plan) -> dict[str, Any]:
    """Return what the schedule follows from, as slices carry it to the trainers."""
    return {name: plan[name] for name in ("workers", "epochs", "rounds", "batch", "seed", "counts")}


def sha256(path: Path) -> str:
    """Return a file's sha256."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def default_name(dataset: str, invocation: dict[str, Any]) -> str:
    """Return a new run's name: dataset, time, and the invocation's id, so that two starts never meet."""
    stem = "".join(c if c.isascii() and c.isalnum() else "-" for c in Path(dataset).stem.lower())[:32].strip("-")
    began = time.strftime("%Y%m%d-%H%M%S", time.gmtime(invocation["time"]))
    return f"{stem or 'run'}-{began}-{invocation['id'][:6].lower() or 'x'}"


def check_version(plan: Plan) -> None:
    """Refuse to resume a run that was planned by another release."""
    if plan["version"] != VERSION:
        raise RunError(
            f"run {plan['run']} exists with plan version {plan['version']}, expected {VERSION}: take a new name"
        )


def check_same(plan: Plan, given: dict[str, Any]) -> None:
    """Refuse to resume a run with other parameters than were given for it; defaults are those of its plan."""
    for name in (parameter.name for parameter in params.PARAMETERS):
        was, value = plan["parameters"].get(name), given.get(name)
        if name in given and was != value:
            raise RunError(f"run {plan['run']} exists with {name} {params.plain(was)}, got {params.plain(value)}")
        if name in plan["given"] and name not in given:
            raise RunError(
                f"run {plan['run']} exists with {name} {params.plain(was)}, got none: give it, or the run's name alone"
            )


def check_unchanged(objects: Objects, plan: Plan) -> None:
    """Refuse to resume a run whose dataset has been replaced; one that is gone may still be in the shards."""
    at = Location(plan["dataset"]["bucket"], plan["dataset"]["key"])
    try:
        _, etag = objects.head(at)
    except StoreError:
        return
    if etag != plan["dataset"]["etag"]:
        raise RunError(f"run {plan['run']} exists with another {at} (etag {plan['dataset']['etag']}), got etag {etag}")


def settle(objects: Objects, given: dict[str, Any], invocation: dict[str, Any]) -> Plan:
    """Make a run's plan, or take up the existing one; leaves plan.json and initial.keras in the store.

    `invocation`: id and time (epoch seconds) of the pipeline's start.
    """
    if "run" not in given:
        params.require(given)
    this = run.Run(objects, name := given.get("run") or default_name(given["dataset"], invocation))
    plan = this.find_whole(run.PLAN, ("version", "run"))
    if plan:
        check_version(plan)
        plan = this.plan()
        if given.keys() != {"run"}:
            check_same(plan, asked(given))
        check_unchanged(objects, plan)
        if run.INITIAL in this.sizes(run.INITIAL):
            return dict(plan)
    else:
        params.require(given)
    with tempfile.TemporaryDirectory() as folder:
        model = Path(folder) / run.INITIAL
        fetch_model(objects, (plan["parameters"] if plan else given)["model"], model)
        plan = plan or create(this, make(objects, given, name, model))
        if sha256(model) != plan["model"]["sha256"]:
            raise RunError(f"run {name} exists with another model (sha256 {plan['model']['sha256'][:12]})")
        objects.create_from(this.at(run.INITIAL), blocks(model))
    return dict(plan)


def create(this: run.Run, plan: Plan) -> Plan:
    """Write a plan; where another driver was first, return that one's, if it is the same."""
    if this.create_json(run.PLAN, plan):
        return plan
    first = this.plan()
    check_same(first, plan["given"])
    return first


def blocks(path: Path) -> Any:
    """Yield a file's content in parts of an upload."""
    with path.open("rb") as file:
        while block := file.read(PART_BYTES):
            yield block
