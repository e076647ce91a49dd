"""The plan of a run: every number that decides its result, fixed once by the planner; read by all that hold keys."""

from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
from typing import Any, Self

from common.data.arrays import Array, Pair
from common.errors import RunError
from common.plan.schedule import Schedule
from common.storage import keys
from common.storage.run import Run

VERSION = 5
SCHEDULE = ("workers", "epochs", "rounds", "batch", "seed", "counts")  # what it follows from


@dataclass(frozen=True)
class Source:
    """An object that was planned with: where it lies, and what tells it from another under the same name."""

    bucket: str
    key: str
    etag: str
    size: int


@dataclass(frozen=True)
class Model:
    """What the file of the user's model told: its digest, how many classes its labels may name, its loss."""

    sha256: str
    classes: int | None
    loss: str


@dataclass(frozen=True)
class Plan:
    """A run's plan, as plan.json holds it."""

    version: int
    run: str
    given: dict[str, Any]  # what the caller asked for
    parameters: dict[str, Any]  # that, and the defaults
    dataset: Source
    train: Pair
    test: Pair | None
    validation: Source | None
    model: Model
    workers: int
    epochs: int  # trained: more than asked with parity
    rounds: int
    batch: int  # of a lane
    seed: int
    learning_rate: float | None  # None: the model's own
    outer_momentum: float
    optimizer_state: str
    weighting: str
    counts: list[int]  # examples of each shard
    held_out: int  # examples that the model is evaluated on
    shares: int  # into which they are cut
    evaluate_on: str
    created: float  # epoch seconds
    token: str  # by which the pipeline writes into the run's state; told to nobody else
    warnings: list[str]

    @property
    def evaluators(self) -> int:
        """How many lanes evaluate: two at least where there are as many, so that none is believed alone."""
        return max(self.shares, min(2, self.workers))

    @property
    def keeps_start(self) -> bool:
        """Whether later rounds need what the first one started from, which lane 0 then saves."""
        return self.rounds > 1 and (bool(self.outer_momentum) or self.optimizer_state == "reset")

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
        parts = {name: held[name] and make(**held[name]) for name, make in PARTS.items()}
        return cls(**{name: held[name] for name in NAMES} | parts)


def pair(x: dict[str, Any], y: dict[str, Any]) -> Pair:
    """Return a set's arrays, of which a document has shapes as lists."""
    return Pair(*(Array(array["name"], tuple(array["shape"]), array["dtype"]) for array in (x, y)))


NAMES = tuple(field.name for field in fields(Plan))
PARTS: dict[str, Callable[..., Any]] = {
    "dataset": Source,
    "validation": Source,
    "model": Model,
    "train": pair,
    "test": pair,
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
