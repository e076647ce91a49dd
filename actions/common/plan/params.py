"""The parameters of dl-pipeline: type, default, bounds and meaning of each; used by the planner."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from common.errors import ParameterError, shown
from common.plan.readers import (
    addresses,
    class_weight,
    column,
    early_stopping,
    ends,
    goal,
    held_out,
    keep_best,
    number,
    one_of,
    optimizer,
    rate,
    reduce_on_plateau,
    run_name,
    size,
    text,
    truth,
    whole,
)

PLENTY = 1 << 40  # examples, where nobody has counted them
WORKERS = 4  # by default, where there are examples for them
LANES = 28  # 28 branches and the conductor that joins them stay below OpenWhisk's 30 concurrent activations
STEERING = ("early_stopping", "goal", "keep_best", "reduce_on_plateau")  # by the averages' evaluations
MOMENTUM, MOMENTUM_ROUNDS = 0.3, 8  # the default outer momentum, and from how many rounds on: docs/decisions/0007


@dataclass(frozen=True)
class Parameter:
    """One parameter: how to read it, its default (None: decided from others), and what it means."""

    name: str
    kind: str
    read: Callable[[object], Any]
    default: Any
    meaning: str


PARAMETERS = (
    Parameter("dataset", "string", addresses, None, "what to train on: s3://bucket/key, a folder, or a list; required"),
    Parameter(
        "model",
        "string",
        text,
        None,
        "the compiled .keras model to start from, s3://bucket/key, or run://name: what that run came to; required",
    ),
    Parameter("config", "string", text, None, "a JSON object in the store that holds any of these parameters"),
    Parameter("run", "string", run_name, None, "the run's name, 1..64 of a-z, 0-9 and -; default: dataset and time"),
    Parameter("workers", "integer", whole(1, LANES), None, "lanes that train side by side, 1..28; default 4"),
    Parameter("epochs", "integer", whole(1, 1000), 1, "passes over the training set, 1..1000"),
    Parameter(
        "parity", "boolean", truth, False, "train 1.5 times the epochs where there are lanes: one worker's accuracy"
    ),
    Parameter("rounds", "integer", whole(1, 100_000), None, "averages in all; a multiple or a divisor of the passes"),
    Parameter("batch_size", "integer", whole(1, 8192), 64, "the batch one worker would use, 1..8192"),
    Parameter(
        "local_batch_size", "integer", whole(1, 8192), None, "a lane's batch; default batch_size / sqrt(workers)"
    ),
    Parameter("learning_rate", "float", rate, None, "default: the model's"),
    Parameter(
        "optimizer",
        "json",
        optimizer,
        None,
        "another one than the model's: a name of Keras, or {class_name, config}",
    ),
    Parameter(
        "outer_momentum", "float", number("0 <= x < 1", lambda x: 0 <= x < 1), None, "momentum of averages, 0..1"
    ),
    Parameter(
        "optimizer_state", "string", one_of("average", "reset"), "average", "what a round's optimizer starts from"
    ),
    Parameter(
        "weighting",
        "string",
        one_of("examples", "uniform", "accuracy"),
        "examples",
        "what a lane weighs in the average",
    ),
    Parameter(
        "evaluate",
        "string",
        one_of("rounds", "end"),
        "rounds",
        "evaluate the average of every round, before the lanes train on, or the last one alone",
    ),
    Parameter(
        "early_stopping",
        "json",
        early_stopping,
        None,
        "stop where no average is better than the best: {monitor, patience, min_delta, mode}, as Keras does",
    ),
    Parameter(
        "keep_best",
        "json",
        keep_best,
        None,
        "true: final.keras is the average that did best on the validation set, by its loss or {monitor, mode}",
    ),
    Parameter(
        "average_last",
        "integer",
        whole(2, 100),
        None,
        "the last averages, so many, are averaged once more; with validation, where that is better than the last one",
    ),
    Parameter(
        "reduce_on_plateau",
        "json",
        reduce_on_plateau,
        None,
        "lower the learning rate where no average is better: {monitor, factor, patience, cooldown, min_delta, min_lr, "
        "mode}, as Keras does",
    ),
    Parameter("goal", "json", goal, None, "stop where an average is as good as this: {metric: value}"),
    Parameter(
        "max_seconds", "float", number("a number above 0", lambda x: x > 0), None, "begin no round after so long"
    ),
    Parameter("seed", "integer", whole(0, 2**31 - 1), 0, "of the split, the shuffles and dropout, 0..2147483647"),
    Parameter(
        "label",
        "json",
        ends,
        None,
        "the column or array of labels, or {output: columns}; default: the one named so, of several as each output is",
    ),
    Parameter("sample_weight", "string", column, None, "the column or array of what each example weighs in the loss"),
    Parameter(
        "class_weight",
        "json",
        class_weight,
        None,
        "what the examples of each class weigh: {class: number}, or balanced",
    ),
    Parameter(
        "group", "string", column, None, "the column or array whose rows of one value stay on one side of a split"
    ),
    Parameter(
        "inputs",
        "json",
        ends,
        None,
        "columns or array of the model's input, or {input: columns}; default: called as it is, else all but the label",
    ),
    Parameter("missing", "string", one_of("drop", "zero", "mean"), None, "where a value is missing; default: refuse"),
    Parameter("image_size", "array", size, None, "height and width that images get; default: they have one size"),
    Parameter(
        "test", "string", held_out, None, "a fraction of the training set, or a dataset; default: its own, or 0.1"
    ),
    Parameter(
        "validation", "string", held_out, None, "a fraction of the training set, or a dataset; default: the test set"
    ),
)


def read(given: dict[str, object]) -> dict[str, Any]:
    """Return every given parameter, read and checked; ParameterError names the first that does not fit."""
    known = {parameter.name: parameter for parameter in PARAMETERS}
    unknown = sorted(given.keys() - known.keys())
    if unknown:
        raise ParameterError(f"{shown(unknown[0])[1:-1]}: got an unknown parameter, expected one of {', '.join(known)}")
    return {name: read_one(known[name], value) for name, value in given.items() if not absent(known[name], value)}


def absent(parameter: Parameter, value: object) -> bool:
    """Return whether null says that nothing is given: a number too large becomes null on its way, a text never."""
    return value is None and parameter.read in (text, addresses, run_name)


def read_one(parameter: Parameter, value: object) -> Any:
    """Return one parameter's value, or raise ParameterError with what came and what was expected."""
    try:
        return parameter.read(value)
    except ValueError as error:
        raise ParameterError(f"{parameter.name}: got {shown(value)}, expected {error}") from None


def require(given: dict[str, Any]) -> None:
    """Refuse parameters without a dataset or a model."""
    for name in ("dataset", "model"):
        if name not in given:
            raise ParameterError(f"{name}: got nothing, expected s3://bucket/key")


def complete(given: dict[str, Any], examples: int = PLENTY) -> dict[str, Any]:
    """Return all parameters of a run: those given, and defaults that follow from them and fit so many examples."""
    require(given)
    full = {parameter.name: given.get(parameter.name, parameter.default) for parameter in PARAMETERS}
    full.pop("config")
    full.pop("run")
    full["workers"] = full["workers"] or workers(full, examples)
    fewest = examples // full["workers"]
    if full["local_batch_size"] is None:
        full["local_batch_size"] = local_batch(full, fewest)
    full["rounds"] = full["rounds"] or (2 if fewest > full["local_batch_size"] else 1) * passes(full)
    if full["outer_momentum"] is None:
        full["outer_momentum"] = momentum(full)
    check_together(full)
    return full


def workers(full: dict[str, Any], examples: int) -> int:
    """Return the default number of lanes: as many, up to WORKERS, as have a batch for each round of a pass."""
    for lanes in range(WORKERS, 1, -1):
        between = parts({**full, "workers": lanes}) - 1
        if examples // lanes > between * (full["local_batch_size"] or 1):
            return lanes
    return 1


def local_batch(full: dict[str, Any], fewest: int) -> int:
    """Return a lane's default batch; less where its `fewest` examples would not give each round of a pass one."""
    batch: int = round(full["batch_size"] / math.sqrt(full["workers"]))
    between = parts(full) - 1
    return max(1, min(batch, (fewest - 1) // between) if between else batch)


def parts(full: dict[str, Any]) -> int:
    """Return how many rounds a pass the given ones are, 1 where none are given."""
    rounds: int = full["rounds"] or 0
    return max(1, rounds // passes(full))


def passes(full: dict[str, Any]) -> int:
    """Return how many passes over the training set are trained: `epochs`, half as many more for parity of lanes."""
    more = full["parity"] and full["workers"] > 1
    return -(-3 * full["epochs"] // 2) if more else int(full["epochs"])


def momentum(full: dict[str, Any]) -> float:
    """Return the default outer momentum: none where averages are rare or few, or there is one worker."""
    frequent = full["rounds"] >= max(MOMENTUM_ROUNDS, 2 * passes(full))
    return MOMENTUM if full["workers"] > 1 and frequent else 0.0


def check_together(full: dict[str, Any]) -> None:
    """Refuse parameters that do not fit each other."""
    rounds, trained = full["rounds"], passes(full)
    if rounds % trained and trained % rounds:
        of = f"epochs ({trained})" if trained == full["epochs"] else f"the passes that parity trains ({trained})"
        raise ParameterError(f"rounds: got {rounds}, expected a multiple or a divisor of {of}")
    for rule in STEERING:
        if full[rule] and full["validation"] is None:
            raise ParameterError(f"validation: got nothing, expected a fraction or a dataset, as {rule} steers by it")
        if full[rule] and full["evaluate"] == "end":
            raise ParameterError(f"evaluate: got end, expected rounds, as {rule} steers by them")
    if full["weighting"] == "accuracy" and full["validation"] is None:
        raise ParameterError("validation: got nothing, expected a fraction or a dataset, as weighting is accuracy")
