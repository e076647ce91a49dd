"""The parameters of dl-pipeline: type, default, bounds and meaning of each; used by the planner."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from common.errors import ParameterError, shown
from common.storage.run import check_name

PARTS = 1000  # objects of a dataset, each a line of the plan
COLUMNS, ENDS, NAME, PIXELS = 10_000, 100, 500, 4096
PLENTY = 1 << 40  # examples, where nobody has counted them
WORKERS = 4  # by default, where there are examples for them
LANES = 28  # 28 branches and the conductor that joins them stay below OpenWhisk's 30 concurrent activations
FLOAT32 = (2.0**-126, 2.0**127 * (2 - 2.0**-23))  # what the trainers' numbers hold in full
MOMENTUM, MOMENTUM_ROUNDS = 0.3, 8  # the default outer momentum, and from how many rounds on: docs/decisions/0007


def whole(low: int, high: int) -> Callable[[object], int]:
    """Return a reader of whole numbers low..high."""

    def read(value: object) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise ValueError(f"{low}..{high}")
        return value

    return read


def number(expected: str, fits: Callable[[float], bool]) -> Callable[[object], float]:
    """Return a reader of finite numbers for which `fits` holds."""

    def read(value: object) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise ValueError(expected)
        try:
            found = float(value)
        except OverflowError:
            raise ValueError(expected) from None
        if not math.isfinite(found) or not fits(found):
            raise ValueError(expected)
        return found

    return read


def rate(value: object) -> float:
    """Read a learning rate; ValueError for one that is zero or infinite in the 32 bits that training uses."""
    found = number("a number above 0", lambda x: x > 0)(value)
    if not FLOAT32[0] <= found <= FLOAT32[1]:
        raise ValueError("a number above 0 that 32 bits hold, 1.2e-38..3.4e38")
    return found


def truth(value: object) -> bool:
    """Read true or false."""
    if not isinstance(value, bool):
        raise ValueError("true or false")
    return value


def one_of(*words: str) -> Callable[[object], str]:
    """Return a reader of one of some words."""

    def read(value: object) -> str:
        if value not in words:
            raise ValueError(" or ".join(words))
        return str(value)

    return read


def addresses(value: object) -> str | list[str]:
    """Read the address of an object, of a folder of objects (ending in /), or a list of objects."""
    if isinstance(value, list) and 0 < len(value) <= PARTS and all(isinstance(one, str) and one for one in value):
        return list(value)
    if not isinstance(value, str) or not value:
        raise ValueError(f"s3://bucket/key, a folder s3://bucket/folder/, or a list of at most {PARTS} objects")
    return value


def names(value: object) -> list[str]:
    """Read a column's name, or a list of them."""
    listed = [value] if isinstance(value, str) else value
    if not isinstance(listed, list) or not 0 < len(listed) <= COLUMNS:
        raise ValueError(f"a column, or a list of at most {COLUMNS} columns")
    if not all(isinstance(one, str) and 0 < len(one) <= NAME for one in listed) or len(set(listed)) < len(listed):
        raise ValueError(f"columns, each once, by names of 1..{NAME} characters")
    return list(listed)


def ends(value: object) -> list[str] | dict[str, list[str]]:
    """Read the columns of the model's only input or output, or those of each by its name."""
    if not isinstance(value, dict):
        return names(value)
    if not 0 < len(value) <= ENDS:
        raise ValueError(f"an object of 1..{ENDS} inputs or outputs of the model and the columns of each")
    return {one: names(columns) for one, columns in value.items()}


def name(value: object) -> str:
    """Read a column's name."""
    if not isinstance(value, str) or not 0 < len(value) <= NAME:
        raise ValueError(f"a column, by a name of 1..{NAME} characters")
    return value


def class_weight(value: object) -> str | dict[str, float]:
    """Read what classes weigh, by the name or number of each."""
    if value == "balanced":
        return "balanced"
    if not isinstance(value, dict) or not value or not all(isinstance(one, str) for one in value):
        raise ValueError("balanced, or an object of {class: number}")
    return {one: number("numbers of 0 or more", lambda x: x >= 0)(weight) for one, weight in value.items()}


def size(value: object) -> list[int]:
    """Read height and width of images."""
    both = value if isinstance(value, list) else [value, value]
    if len(both) != 2:
        raise ValueError(f"height and width, [1..{PIXELS}, 1..{PIXELS}], or one number for both")
    return [whole(1, PIXELS)(one) for one in both]


def text(value: object) -> str:
    """Read an object's address."""
    if not isinstance(value, str) or not value:
        raise ValueError("s3://bucket/key or a key")
    return value


def run_name(value: object) -> str:
    """Read a run's name; `wsk -p run 2026` sends a number."""
    is_number = isinstance(value, int) and not isinstance(value, bool)
    return check_name(str(value) if is_number else value)


def held_out(value: object) -> float | str | list[str]:
    """Read a fraction of the training set, or addresses."""
    if isinstance(value, str | list) and value:
        return addresses(value)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < 1:
        raise ValueError("a fraction between 0 and 1, or s3://bucket/key")
    return float(value)


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
    Parameter("model", "string", text, None, "the compiled .keras model to start from, s3://bucket/key; required"),
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
    Parameter("seed", "integer", whole(0, 2**31 - 1), 0, "of the split, the shuffles and dropout, 0..2147483647"),
    Parameter(
        "label",
        "json",
        ends,
        None,
        "the column or array of labels, or {output: columns}; default: the one named so, of several as each output is",
    ),
    Parameter("sample_weight", "string", name, None, "the column or array of what each example weighs in the loss"),
    Parameter(
        "class_weight",
        "json",
        class_weight,
        None,
        "what the examples of each class weigh: {class: number}, or balanced",
    ),
    Parameter("group", "string", name, None, "the column or array whose rows of one value stay on one side of a split"),
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
    if full["weighting"] == "accuracy" and full["validation"] is None:
        raise ParameterError("validation: got nothing, expected a fraction or a dataset, as weighting is accuracy")
