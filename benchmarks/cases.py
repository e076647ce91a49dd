"""What is measured and what is compared with what: cases, and rows of the result's table; used by all others."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

QUOTA = 0.5  # CPUs of a container with TensorFlow
SINGLE_MEMORY = 1024  # MB, raised; stock OpenWhisk gives 512 at most
STOCK_MEMORY = 512


@dataclass(frozen=True)
class Case:
    """One way to train one network on one data set, on one platform."""

    name: str
    method: str  # pipeline, single or bare
    dataset: str
    epochs: int
    parameters: Mapping[str, Any] = field(default_factory=dict)  # of dl-pipeline
    batch: int = 64  # of fit
    quota: float | None = QUOTA
    jobs: int = 1  # started at once
    stock: bool = False  # limits as OpenWhisk has them; else raised
    curve: bool = False  # evaluate each epoch or round, too
    pairs: int = 1000  # at most; what no goal hangs on is measured less often
    layers: str = ""  # of the network, where it is not the data set's own

    @property
    def network(self) -> str:
        """Return the network's name."""
        return f"{self.dataset} with {self.layers}" if self.layers else self.dataset

    @property
    def workers(self) -> int:
        """Trainers side by side in one job."""
        return int(self.parameters.get("workers", 4)) if self.method == "pipeline" else 1


@dataclass(frozen=True)
class Row:
    """One line of the table: case `ours` over case `other` in one quantity, or ours alone where there is no other."""

    title: str
    ours: str
    other: str | None
    what: str  # a field of a measurement
    goal: float | None  # None: for comparison
    difference: bool = False  # of the means, in place of the median of the pairs' ratios
    least: bool = False  # the goal is the least, not the most


# the schedule that is as accurate as one worker's eight epochs at batch 32, its best: schedule.md
PARITY = {"parity": True, "batch_size": 32}
TWO_LANES = {"workers": 2, "batch_size": 32}  # a lane a core; nine passes do what twelve of four lanes do
ONE_SHOT = {"rounds": 1}  # the thesis' way
AT_END = {"evaluate": "end"}  # the last average alone
RESET = {"rounds": 8, "optimizer_state": "reset", "outer_momentum": 0}  # KubeML's: K-averaging, once an epoch

CASES = (
    Case("single, 1 epoch", "single", "mnist", 1),
    Case("ours, 1 epoch", "pipeline", "mnist", 1),
    Case("single, 4 epochs", "single", "mnist", 4),
    Case("ours, 4 epochs", "pipeline", "mnist", 4),
    Case("ours, 4 epochs, evaluated at the end", "pipeline", "mnist", 4, AT_END),
    Case("one shot, 4 epochs", "pipeline", "mnist", 4, ONE_SHOT, pairs=1),
    Case("single, to accuracy", "single", "cifar10", 8, batch=32, curve=True),
    Case("ours, to accuracy", "pipeline", "cifar10", 8, PARITY, curve=True),
    Case("ours, to accuracy, evaluated at the end", "pipeline", "cifar10", 8, PARITY | AT_END),
    Case("one shot, to accuracy", "pipeline", "cifar10", 8, ONE_SHOT, curve=True, pairs=1),
    Case("K-averaging with reset, to accuracy", "pipeline", "cifar10", 8, RESET, curve=True, pairs=1),
    Case("single, batch norm", "single", "cifar10", 8, batch=32, curve=True, layers="batch norm"),
    Case("ours, batch norm", "pipeline", "cifar10", 8, PARITY, curve=True, layers="batch norm"),
    Case("bare, no quota", "bare", "cifar10", 8, batch=32, quota=None),
    Case("ours, two lanes, no quota", "pipeline", "cifar10", 9, TWO_LANES, quota=None),
    Case("ours, one lane, no quota", "pipeline", "mnist", 1, {"workers": 1}, quota=None),
    Case("four bare at once", "bare", "mnist", 1, quota=None, jobs=4),
    Case("four of ours at once", "pipeline", "mnist", 1, {"workers": 1, "rounds": 1}, quota=None, jobs=4),
    *(Case(f"ours, K = {k}", "pipeline", "mnist", 4, {"workers": k}, pairs=1) for k in (1, 2, 8)),
    Case("single, stock limits", "single", "mnist", 1, stock=True),
    Case("ours, stock limits", "pipeline", "mnist", 1, stock=True),
)

ROWS = (
    Row("time, 1 epoch of MNIST", "ours, 1 epoch", "single, 1 epoch", "seconds", 0.25),
    Row("time, 4 epochs of MNIST", "ours, 4 epochs", "single, 4 epochs", "seconds", 0.20),
    Row("peak private memory of a function", "ours, 1 epoch", "single, 1 epoch", "memory", 0.33),
    Row("GB-seconds, 1 epoch", "ours, 1 epoch", "single, 1 epoch", "gb_seconds", 0.50),
    Row("GB-seconds, 4 epochs", "ours, 4 epochs", "single, 4 epochs", "gb_seconds", 0.50),
    Row(
        "accuracy on CIFAR-10", "ours, to accuracy", "single, to accuracy", "accuracy", 0.0, difference=True, least=True
    ),
    Row("its time", "ours, to accuracy", "single, to accuracy", "seconds", 0.42),
    Row(
        "accuracy of one shot",
        "one shot, to accuracy",
        "single, to accuracy",
        "accuracy",
        None,
        difference=True,
    ),
    Row(
        "accuracy of K-averaging with reset",
        "K-averaging with reset, to accuracy",
        "single, to accuracy",
        "accuracy",
        None,
        difference=True,
    ),
    Row(
        "accuracy on CIFAR-10 with batch norm",
        "ours, batch norm",
        "single, batch norm",
        "accuracy",
        0.0,
        difference=True,
        least=True,
    ),
    Row("its time", "ours, batch norm", "single, batch norm", "seconds", 0.42),
    Row("evaluation each round, MNIST", "ours, 4 epochs", "ours, 4 epochs, evaluated at the end", "seconds", 1.1),
    Row(
        "evaluation each round, CIFAR-10",
        "ours, to accuracy",
        "ours, to accuracy, evaluated at the end",
        "seconds",
        1.1,
    ),
    Row("time to accuracy, no quota", "ours, two lanes, no quota", "bare, no quota", "seconds", 0.60),
    Row(
        "its accuracy",
        "ours, two lanes, no quota",
        "bare, no quota",
        "accuracy",
        0.0,
        difference=True,
        least=True,
    ),
    Row("overhead of a wave, seconds", "ours, 4 epochs", None, "wave_overhead", 0.3),
    Row(
        "prewarmed trainer: invocation to first step, less the first trace, seconds",
        "ours, one lane, no quota",
        None,
        "first_step",
        0.5,
    ),
    Row("warm trainer: invocation to first step, seconds", "ours, one lane, no quota", None, "warm_step", 0.1),
    Row("four jobs at once", "four of ours at once", "four bare at once", "seconds", 0.70),
    Row("failures at stock limits: the single action", "single, stock limits", None, "failures", 1, least=True),
    Row("failures at stock limits: ours", "ours, stock limits", None, "failures", 0),
)

# for `--quick`: the same path through everything on a few examples, in a minute
QUICK_CASES = (
    Case("single, 1 epoch", "single", "mnist", 1, curve=True),
    Case("ours, 1 epoch", "pipeline", "mnist", 1, {"workers": 2}, curve=True),
    Case("bare, no quota", "bare", "mnist", 1, quota=None),
)
QUICK_ROWS = (
    Row("time", "ours, 1 epoch", "single, 1 epoch", "seconds", 10.0),
    Row("peak private memory of a function", "ours, 1 epoch", "single, 1 epoch", "memory", 1.5),
    Row("GB-seconds", "ours, 1 epoch", "single, 1 epoch", "gb_seconds", 10.0),
    Row("overhead of a wave, seconds", "ours, 1 epoch", None, "wave_overhead", 5.0),
)
