"""A new run's plan, from what was asked for, the dataset's headers and the model's file; used by the planner."""

import secrets
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from common.data import shards
from common.data.arrays import Pair
from common.data.columns import Asked, Input, Label, named
from common.data.dataset import Dataset, open_dataset
from common.errors import DatasetError, ModelError, ParameterError
from common.plan import held, keras_file, keras_memory, params
from common.plan.keras_inputs import ModelInput
from common.plan.keras_outputs import ERRORS, ModelOutput
from common.plan.plan import SCHEDULE, VERSION, HeldOut, Model, Output, Plan, Trainer, Validation
from common.plan.request import asked, open_parts
from common.plan.schedule import Schedule, evaluation_shares, validation_rows
from common.storage.file import sha256
from common.storage.objects import Objects

Given = list[str] | dict[str, list[str]] | None  # columns as a parameter has them: alone, or by inputs or outputs
AT_TOP = (
    *("workers", "rounds", "seed", "learning_rate", "optimizer", "outer_momentum", "optimizer_state", "weighting"),
)


def make(objects: Objects, given: dict[str, Any], name: str, model: Path, trainers: Mapping[str, int]) -> Plan:
    """Return a new run's plan; every check that headers allow is made here. `trainers`: MB of each action."""
    params.require(given)
    parts = open_parts(objects, "dataset", given["dataset"])
    file = keras_file.read(model, given["model"]).with_optimizer(given.get("optimizer"))
    dataset = open_dataset(parts, "dataset", columns_asked(given, file))
    train = dataset.training()
    held_out = held.sets(objects, given, dataset, train, given.get("seed", 0))
    left = train.examples - sum(one.examples for one in held_out if one.pair is None)
    full = params.complete(given, left)
    keras = checked(file, full, train, [one.pair for one in held_out if one.pair])
    for output, label in zip(keras.labelled, dataset.columns.labels, strict=True):
        check_classes(output, label)
    counted = numbers(full, left)
    footprint = keras_memory.read(model, given.get("optimizer"), max(trainers.values()))
    trainer = keras_memory.trainer(footprint, counted["batch"], longest(train), trainers)
    steps = Schedule(**{name: counted[name] for name in SCHEDULE})  # refuses more rounds a pass than there are batches
    return Plan(
        version=VERSION,
        run=name,
        given=asked(given),
        parameters=full,
        dataset=tuple(held.source(part) for part in parts),
        columns=dataset.columns,
        seekable=dataset.seeks(),
        train=train,
        held=tuple(held_out),
        weighted=bool(train.weight or full["class_weight"]),
        model=Model(sha256(model), tuple(Output(one.name, one.classes, one.loss) for one in keras.outputs), keras.rate),
        trainer=trainer,
        **counted,
        held_out=held_out[0].examples,
        shares=evaluation_shares(full["workers"], held_out[0].examples) if keras.means else 1,
        evaluate_on=held_out[0].name,
        validation=validation(full, steps, held_out),
        created=time.time(),
        token=secrets.token_hex(16),
        warnings=[
            *(*warnings(dataset, given, held_out), *fewer_steps(full, steps, keras.rates)),
            *in_pieces(trainer, steps.batch),
        ],
    )


def columns_asked(given: dict[str, Any], file: keras_file.KerasFile) -> Asked:
    """Return what the caller said of columns, and what inputs and outputs the model has."""
    size = given.get("image_size")
    return Asked(
        inputs=inputs_asked(given.get("inputs"), file.inputs),
        labels=labels_asked(given.get("label"), [one.name for one in file.labelled]),
        weight=given.get("sample_weight"),
        group=given.get("group"),
        missing=given.get("missing"),
        image_size=size and (size[0], size[1]),
    )


def inputs_asked(given: Given, inputs: Sequence[ModelInput]) -> tuple[Input, ...]:
    """Return the model's inputs with the columns that were asked for; ParameterError where they do not fit."""
    columns = columns_of("inputs", given, [one.name for one in inputs])
    return tuple(Input(one.name, columns[one.name], one.text) for one in inputs)


def labels_asked(given: Given, outputs: Sequence[str]) -> tuple[Label, ...]:
    """Return the labels of the model's outputs with the columns that were asked for; ParameterError as for inputs."""
    columns = columns_of("label", given, outputs)
    return tuple(Label(name, columns[name]) for name in outputs)


def columns_of(parameter: str, given: Given, names: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Return {input or output: its columns}, none where nothing is said of them."""
    ends = {"inputs": "inputs", "label": "outputs"}[parameter]
    if isinstance(given, list) and len(names) > 1:
        expected = f"an object of {{{ends.removesuffix('s')}: columns}}, as the model has {named(names, ends)}"
        raise ParameterError(f"{parameter}: got {named(given, 'columns')}, expected {expected}")
    if isinstance(given, dict) and given.keys() != {*names}:
        raise ParameterError(f"{parameter}: got {named(given, ends)}, expected {named(names, ends)} of the model")
    columns = given if isinstance(given, dict) else {name: given or [] for name in names}
    return {name: tuple(columns[name]) for name in names}


def check_classes(output: ModelOutput, label: Label) -> None:
    """Refuse classes that are named by text where the model takes numbers, or gives fewer."""
    if label.classes is None:
        return
    (column,) = label.columns
    if output.loss in ERRORS:
        raise DatasetError(f"label: column {column} holds text, expected numbers for loss {output.loss}")
    most = 2 if output.classes == 1 else output.classes
    if most is not None and len(label.classes) > most:
        got = f"column {column} holds {named(label.classes, 'classes')}"
        raise ModelError(f"model: it gives {most} classes, expected {len(label.classes)}, as {got}")


def checked(
    keras: keras_file.KerasFile, full: dict[str, Any], train: Pair, evaluated: list[Pair]
) -> keras_file.KerasFile:
    """Return what the model's file tells for these labels; refuse one that cannot take these sets or parameters."""
    keras = keras.for_labels([one.shape[1:] for one in train.y])
    if full["learning_rate"] is not None and not keras.one_rate:
        raise ParameterError("learning_rate: got a value, expected none, as the model has several optimizers")
    if full["reduce_on_plateau"] and full["learning_rate"] is None and keras.rate is None:
        raise ParameterError(f"reduce_on_plateau: got a model {what_rate(keras)}, expected a rate that is one number")
    if full["class_weight"] and len(keras.labelled) > 1:
        raise ParameterError("class_weight: got a value, expected none, as the model has several outputs with labels")
    if full["weighting"] == "accuracy" and not keras.accuracy:
        raise ModelError("model: got no accuracy among its metrics, expected one as weighting is accuracy")
    for pair in (train, *evaluated):
        check_pair(keras, train, pair)
    return keras


def what_rate(keras: keras_file.KerasFile) -> str:
    """Say what a model has for a learning rate that is a number."""
    if not keras.one_rate:
        return "of several optimizers"
    return f"whose learning rate is a {keras.rates}" if keras.rates else "without a learning rate"


def validation(full: dict[str, Any], steps: Schedule, held_out: Sequence[HeldOut]) -> Validation | None:
    """Return how averages are evaluated on the way: on the validation set where there is one, else on the test set."""
    if full["evaluate"] == "end" or steps.rounds == 1:
        return None
    chosen = next((one for one in held_out if one.name == "validation"), held_out[0])
    places = [(number, lane) for number in range(steps.parts) for lane in range(steps.workers)]
    fewest = min(steps.examples(*place) for place in places)
    rows, frequency = validation_rows(chosen.examples, steps.workers, fewest)
    steered = any(full[rule] for rule in params.STEERING)  # by each average, or small rounds would pass unseen
    return Validation(chosen.name, chosen.examples, rows, 1 if steered else frequency)


def fewer_steps(full: dict[str, Any], steps: Schedule, rates: str | None) -> list[str]:
    """Return a warning where a learning-rate schedule counts on other steps than a lane's."""
    lane = sum(steps.steps(round_, 0) for round_ in range(steps.rounds))
    alone = steps.epochs * -(-sum(steps.counts) // full["batch_size"])
    if rates is None or full["learning_rate"] is not None or lane == alone:
        return []
    return [f"{rates} goes by a lane's own steps, {lane} of batch {steps.batch}, where one worker makes {alone}"]


def longest(train: Pair) -> int:
    """Return what axes of any length are taken for: the longest one of the examples."""
    return max((axis for one in train.x for axis in one.shape[1:]), default=1)


def in_pieces(trainer: Trainer, batch: int) -> list[str]:
    """Return a warning where a trainer's memory holds no whole batches."""
    if trainer.micro is None:
        return []
    return [
        f"{trainer.memory} MB hold no {batch} examples: batches are trained in pieces of {trainer.micro}; with batch "
        "norm or dropout the weights are not those of whole batches"
    ]


def warnings(dataset: Dataset, given: dict[str, Any], held_out: list[HeldOut]) -> list[str]:
    """Return what a user should know of the dataset: what it lacks, and what nothing uses."""
    found = []
    if held_out[0].name == "validation":
        found.append("the dataset has no test set: the metrics are those of the validation set")
    if held_out[0].pair is None and "test" not in given and held_out[0].name == "test":
        found.append(
            f"the dataset has no test set: {held.FRACTION:.0%} of it is held out, and the metrics are of that part"
        )
    if unused := dataset.unused():
        found.append(f"nothing uses {named(unused, dataset.kind)} of the dataset")
    return found


def check_pair(keras: keras_file.KerasFile, train: Pair, pair: Pair) -> None:
    """Refuse a set that the model cannot take, or that differs in shape from the training set."""
    keras.check_inputs([one.shape[1:] for one in pair.x])
    keras.check_labels([one.shape[1:] for one in pair.y])
    for one, other in zip((*pair.x, *pair.y), (*train.x, *train.y), strict=True):
        if one.shape[1:] != other.shape[1:]:
            raise DatasetError(f"{one.name}: got shape {one.shape[1:]}, expected {other.shape[1:]} as in training")


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
