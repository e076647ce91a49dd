"""A new run's plan, from what was asked for, the dataset's headers and the model's file; used by the planner."""

import secrets
import time
from pathlib import Path
from typing import Any

from common.data import shards
from common.data.arrays import Pair
from common.data.dataset import Dataset, named
from common.errors import DatasetError, ModelError, ParameterError
from common.plan import keras_file, params
from common.plan.plan import SCHEDULE, VERSION, Model, Plan, Source
from common.plan.request import asked, open_dataset
from common.plan.schedule import Schedule, evaluation_shares
from common.storage.file import sha256
from common.storage.objects import Objects

HELD_OUT = 0.2  # of the training set, where there is no test set and nothing is said of validation
AT_TOP = ("workers", "rounds", "seed", "learning_rate", "outer_momentum", "optimizer_state", "weighting")


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
    keras = checked(keras_file.read(model, given["model"]), full, train, evaluated)
    counted = numbers(full, examples)
    warned = [*warnings(dataset, given, test), *fewer_steps(full, counted, keras.rates)]
    return Plan(
        version=VERSION,
        run=name,
        given=asked(given),
        parameters=full,
        dataset=source(dataset),
        train=train,
        test=test,
        validation=source(file) if file else None,
        model=Model(sha256(model), keras.classes, keras.loss),
        **counted,
        **evaluation(full, train, evaluated[0] if evaluated else None, keras.means),
        evaluate_on="test" if test else "validation",
        created=time.time(),
        token=secrets.token_hex(16),
        warnings=warned,
    )


def checked(
    keras: keras_file.KerasFile, full: dict[str, Any], train: Pair, evaluated: list[Pair]
) -> keras_file.KerasFile:
    """Return what the model's file tells for these labels; refuse one that cannot take these sets or parameters."""
    keras = keras.for_labels(train.y.shape[1:])
    if full["weighting"] == "accuracy" and not keras.accuracy:
        raise ModelError("model: got no accuracy among its metrics, expected one as weighting is accuracy")
    for pair in (train, *evaluated):
        check_pair(keras, train, pair)
    return keras


def fewer_steps(full: dict[str, Any], counted: dict[str, Any], rates: str | None) -> list[str]:
    """Return a warning where a learning-rate schedule counts on other steps than a lane's."""
    steps = Schedule(**{name: counted[name] for name in SCHEDULE})  # refuses more rounds a pass than there are batches
    lane = sum(steps.steps(round_, 0) for round_ in range(steps.rounds))
    alone = steps.epochs * -(-sum(steps.counts) // full["batch_size"])
    if rates is None or full["learning_rate"] is not None or lane == alone:
        return []
    return [f"{rates} goes by a lane's own steps, {lane} of batch {steps.batch}, where one worker makes {alone}"]


def held_out(train: Pair, validation: float | str | None) -> int:
    """Return how many training examples a fraction holds out; DatasetError where none would be left."""
    if not isinstance(validation, float):
        return 0
    if train.x.shape[0] < 2:
        raise DatasetError("dataset: got one training example, expected two, as a fraction of them is held out")
    return shards.validation_count(train.x.shape[0], validation)


def warnings(dataset: Dataset, given: dict[str, Any], test: Pair | None) -> list[str]:
    """Return what a user should know of the dataset: what it lacks, and what nothing uses."""
    found = []
    if not test and "validation" in given:
        found.append("the dataset has no test set: the metrics are those of the validation set")
    if not test and "validation" not in given:
        found.append(f"the dataset has no test set: {HELD_OUT:.0%} of it is held out, and the metrics are of that part")
    if unused := dataset.unused():
        found.append(f"nothing uses {named(unused)} of the dataset")
    return found


def source(dataset: Dataset) -> Source:
    """Return what tells a dataset from another under the same name."""
    return Source(dataset.at.bucket, dataset.at.key, dataset.etag, dataset.size)


def check_pair(keras: keras_file.KerasFile, train: Pair, pair: Pair) -> None:
    """Refuse a set that the model cannot take, or that differs in shape from the training set."""
    keras.check_inputs(pair.x.shape[1:])
    keras.check_labels(pair.y.shape[1:])
    if pair.x.shape[1:] != train.x.shape[1:] or pair.y.shape[1:] != train.y.shape[1:]:
        raise DatasetError(f"{pair.x.name}: got shape {pair.x.shape[1:]}, expected {train.x.shape[1:]} as in training")


def numbers(full: dict[str, Any], examples: int) -> dict[str, Any]:
    """Return the numbers of the schedule, as fields of the plan."""
    if examples < full["workers"]:
        raise ParameterError(f"workers: got {full['workers']}, expected at most one per training example ({examples})")
    return {
        **{name: full[name] for name in AT_TOP},
        "epochs": params.passes(full),
        "batch": full["local_batch_size"],
        "counts": shards.shard_counts(examples, full["workers"]),
    }


def evaluation(full: dict[str, Any], train: Pair, file: Pair | None, means: bool) -> dict[str, Any]:
    """Return on how many examples the model is evaluated, and in how many shares; without a file, on a fraction.

    Where some metric is no mean over examples, one lane evaluates them all.
    """
    examples = file.x.shape[0] if file else shards.validation_count(train.x.shape[0], full["validation"])
    return {"held_out": examples, "shares": evaluation_shares(full["workers"], examples) if means else 1}
