"""The plan of a run: every number that decides its result, fixed once by the planner; read by all that hold keys."""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
from functools import cached_property
from hashlib import sha256
from typing import Any, Self

from common.data.arrays import Array, Pair, data_names, stored_names
from common.data.columns import Columns, Input, Label
from common.errors import RunError
from common.plan.keras_names import is_sparse
from common.plan.schedule import Schedule, share
from common.storage import keys
from common.storage.objects import Objects
from common.storage.run import Folder, Run

VERSION = 10
SPLIT_VERSION = 1  # of the rules by which examples are dealt out
SCHEDULE = ("workers", "epochs", "rounds", "batch", "seed", "counts")  # what it follows from


@dataclass(frozen=True)
class Source:
    """An object that was planned with: where it lies, and what tells it from another under the same name."""

    bucket: str
    key: str
    etag: str
    size: int


@dataclass(frozen=True)
class HeldOut:
    """A set that no lane trains on: `test` or `validation`."""

    name: str
    examples: int
    sources: tuple[Source, ...] | None  # the objects of its own; None: it is part of the dataset
    pair: Pair | None  # its arrays; None: it is dealt out of the training set
    fraction: float | None = None  # of the training set, where it is dealt out of it


@dataclass(frozen=True)
class Validation:
    """How the average of a round is evaluated before the next one trains on."""

    set: str  # the held-out set
    examples: int  # of the set
    rows: int  # evaluated, by all lanes together: a fixed sample
    frequency: int  # every how manyth round


@dataclass(frozen=True)
class Output:
    """An output of the user's model: its name, how many classes its labels may name, its loss (None: no labels)."""

    name: str
    classes: int | None
    loss: str | None

    @property
    def sparse(self) -> bool:
        """Whether labels are class numbers."""
        return is_sparse(self.loss)


@dataclass(frozen=True)
class Model:
    """What the file of the user's model told: its digest, its outputs, and its learning rate where that is a number."""

    sha256: str
    outputs: tuple[Output, ...]
    rate: float | None = None

    @property
    def labelled(self) -> tuple[Output, ...]:
        """The outputs that have labels."""
        return tuple(one for one in self.outputs if one.loss)


@dataclass(frozen=True)
class Trainer:
    """Which trainer a run takes, by what its model needs."""

    action: str
    memory: int  # MB
    largest: str  # the action that a slice goes to which lacked memory
    micro: int | None  # examples at a time, where whole batches do not fit
    estimated: int | None  # bytes at the peak; None: the model's file does not say


@dataclass(frozen=True)
class Plan:
    """A run's plan, as plan.json holds it."""

    version: int
    run: str
    given: dict[str, Any]  # what the caller asked for
    parameters: dict[str, Any]  # that, and the defaults
    dataset: tuple[Source, ...]
    columns: Columns
    seekable: bool  # whether its reading may begin anywhere
    train: Pair
    held: tuple[HeldOut, ...]
    weighted: bool  # whether examples weigh differently in the loss
    model: Model
    trainer: Trainer
    workers: int
    epochs: int  # trained: more than asked with parity
    rounds: int
    batch: int  # of a lane
    seed: int
    learning_rate: float | None  # None: the model's own
    optimizer: dict[str, Any] | None  # as Keras serializes it; None: the model's own
    outer_momentum: float
    optimizer_state: str
    weighting: str
    counts: list[int]  # examples of each shard
    held_out: int  # examples that the model is evaluated on
    shares: int  # into which they are cut
    evaluate_on: str
    validation: Validation | None  # None: the last average alone is evaluated
    created: float  # epoch seconds
    token: str  # by which the pipeline writes into the run's state; told to nobody else
    warnings: list[str]

    @cached_property
    def split(self) -> str:
        """What shards and held-out sets follow from, digested: runs that agree in all of it share them."""
        classes = [[one.classes if one.sparse else None, one.sparse] for one in self.model.labelled]
        labels = [classes, self.parameters.get("class_weight")]
        # whatever the model calls its inputs and outputs
        ends = {
            "inputs": [(one.columns, one.text) for one in self.columns.inputs],
            "labels": [(one.columns, one.classes) for one in self.columns.labels],
        }
        columns = {**asdict(self.columns), **ends}
        sets = [*map(asdict, self.dataset), columns, asdict(self.train), *map(asdict, self.held)]
        held = [SPLIT_VERSION, sets, labels, self.weighted, self.workers, self.seed, self.counts]
        return sha256(json.dumps(held, sort_keys=True).encode()).hexdigest()[:32]

    def data(self, objects: Objects) -> Folder:
        """Return where shards and held-out sets lie."""
        return Folder(objects, f"{keys.SPLITS}{self.split}/", f"split {self.split}")

    @property
    def evaluators(self) -> int:
        """How many lanes evaluate: two at least where there are as many, so that none is believed alone."""
        return max(self.shares, min(2, self.workers))

    @property
    def arrays(self) -> tuple[str, ...]:
        """The names of a shard's arrays: inputs, labels and, where examples have some, their weights."""
        return (*self.held_arrays, "weight") if self.weighted else self.held_arrays

    @property
    def held_arrays(self) -> tuple[str, ...]:
        """The names of a held-out set's arrays."""
        return tuple(data_names(len(self.train.x), len(self.train.y)))

    @property
    def inputs(self) -> dict[str, str] | None:
        """The model's inputs and the names of their arrays; None where it has one."""
        names = [one.name for one in self.columns.inputs]
        return dict(zip(names, stored_names("x", len(names)), strict=True)) if len(names) > 1 else None

    @property
    def outputs(self) -> list[tuple[str, str | None]] | None:
        """The model's outputs in their order and the names of their labels' arrays, if any; None where it has one."""
        stored = iter(stored_names("y", len(self.train.y)))
        held = [(one.name, next(stored) if one.loss else None) for one in self.model.outputs]
        return held if len(held) > 1 else None

    @property
    def example(self) -> tuple[int, ...] | None:
        """The shape of an example, where the model has one input."""
        return self.train.x[0].shape[1:] if len(self.train.x) == 1 else None

    @property
    def keeps_start(self) -> bool:
        """Whether later rounds need what the first one started from, which lane 0 then saves."""
        return self.rounds > 1 and (bool(self.outer_momentum) or self.optimizer_state == "reset")

    @property
    def begun_rate(self) -> float:
        """The learning rate of the first round; the planner has seen to it that there is one where it is lowered."""
        rate = self.model.rate if self.learning_rate is None else self.learning_rate
        assert rate is not None
        return rate

    def validates(self, number: int) -> bool:
        """Return whether the lanes evaluate what a round starts from: an average."""
        return self.validation is not None and number > 0 and number % self.validation.frequency == 0

    def validation_share(self, shares: int, lane: int) -> tuple[int, int]:
        """Return which part of the sample, if any, cut into shares, a lane evaluates, as (first, after the last)."""
        return share(self.validation.rows, shares, lane) if self.validation else (0, 0)

    def schedule(self) -> Schedule:
        """Return the schedule of steps."""
        return Schedule(**self.schedule_numbers())

    def schedule_numbers(self) -> dict[str, Any]:
        """Return what the schedule follows from, as slices carry it to the trainers."""
        return {name: getattr(self, name) for name in SCHEDULE}

    def document(self) -> dict[str, Any]:
        """Return the plan as JSON."""
        return asdict(self)

    @classmethod
    def of(cls, held: dict[str, Any]) -> Self:
        """Return the plan of a document."""
        parts = {name: make(held[name]) for name, make in PARTS.items()}
        return cls(**{name: held[name] for name in NAMES} | parts)


def sources(held: list[dict[str, Any]]) -> tuple[Source, ...]:
    """Return the objects of a set, of a document's list."""
    return tuple(Source(**source) for source in held)


def columns(held: dict[str, Any]) -> Columns:
    """Return the columns of a document, in which tuples have become lists."""
    values: dict[str, Any] = {name: tuple(value) if isinstance(value, list) else value for name, value in held.items()}
    inputs = tuple(Input(one["name"], tuple(one["columns"]), one["text"]) for one in held["inputs"])
    labels = tuple(label(one) for one in held["labels"])
    return Columns(**{**values, "inputs": inputs, "labels": labels})


def label(held: dict[str, Any]) -> Label:
    """Return an output's labels, of a document."""
    classes = held["classes"]
    return Label(held["name"], tuple(held["columns"]), classes if classes is None else tuple(classes))


def model(held: dict[str, Any]) -> Model:
    """Return what a model told, of a document."""
    return Model(held["sha256"], tuple(Output(**one) for one in held["outputs"]), held["rate"])


def held_out(held: list[dict[str, Any]]) -> tuple[HeldOut, ...]:
    """Return the held-out sets of a document."""
    return tuple(
        HeldOut(
            name=one["name"],
            examples=one["examples"],
            sources=one["sources"] and sources(one["sources"]),
            pair=one["pair"] and pair(one["pair"]),
            fraction=one["fraction"],
        )
        for one in held
    )


def pair(held: dict[str, Any]) -> Pair:
    """Return a set's arrays, of a document."""
    x, y = (tuple(map(array, held[name])) for name in ("x", "y"))
    return Pair(x, y, *(held[name] and array(held[name]) for name in ("weight", "group")))


def array(held: dict[str, Any]) -> Array:
    """Return an array's header, of a document, in which the shape has become a list."""
    return Array(held["name"], tuple(held["shape"]), held["dtype"])


NAMES = tuple(field.name for field in fields(Plan))
PARTS: dict[str, Callable[[Any], Any]] = {
    "dataset": sources,
    "columns": columns,
    "train": pair,
    "held": held_out,
    "model": model,
    "trainer": lambda held: Trainer(**held),
    "validation": lambda held: held and Validation(**held),
}


def find(run: Run) -> Plan | None:
    """Return a run's plan, None where there is none; RunError for what this release has not written."""
    held = run.find_whole(keys.PLAN, NAMES)
    try:
        return Plan.of(held) if held else None
    except (TypeError, KeyError):
        raise RunError(f"run {run.name}: {keys.PLAN} is not what this openwhisk-dl wrote, expected its plan") from None


def read(run: Run) -> Plan:
    """Return a run's plan; RunError when there is no such run."""
    plan = find(run)
    if plan is None:
        raise RunError(f"run: got {run.name}, expected an existing run")
    return plan
