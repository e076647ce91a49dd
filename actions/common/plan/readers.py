"""How the parameters of dl-pipeline are read: each function returns a value that fits, or says what was expected.

ValueError holds what was expected; who reads a parameter adds its name and what came.
"""

import math
from collections.abc import Callable
from typing import Any

from common.errors import shown
from common.plan import keras_names, keras_optimizers
from common.storage.run import check_name

PARTS = 1000  # objects of a dataset, each a line of the plan
COLUMNS, ENDS, NAME, PIXELS = 10_000, 100, 500, 4096
Fields = dict[str, tuple[Callable[[object], Any], Any]]  # name -> how it is read, and its default
SERIALIZED = {"module", "class_name", "config", "registered_name"}  # as keras.saving.serialize_keras_object has it
FLOAT32 = (2.0**-126, 2.0**127 * (2 - 2.0**-23))  # what the trainers' numbers hold in full


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


DELTA = number("a number of 0 or more", lambda x: x >= 0)


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


def column(value: object) -> str:
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


def early_stopping(value: object) -> dict[str, Any]:
    """Read when to stop for want of improvement, with the defaults of Keras' EarlyStopping."""
    return rule(value, {"patience": (whole(0, 100_000), 0), "min_delta": (DELTA, 0.0)})


def reduce_on_plateau(value: object) -> dict[str, Any]:
    """Read when to lower the learning rate, with the defaults of Keras' ReduceLROnPlateau."""
    factor = number("a number between 0 and 1", lambda x: 0 < x < 1)
    if isinstance(value, dict):
        value = {"min_lr" if name == "min" else name: one for name, one in value.items()}
    counts = {"patience": (whole(0, 100_000), 10), "cooldown": (whole(0, 100_000), 0)}
    return rule(value, {"factor": (factor, 0.1), **counts, "min_delta": (DELTA, 1e-4), "min_lr": (DELTA, 0.0)})


def optimizer(value: object) -> dict[str, Any]:
    """Read one of Keras' optimizers: its name, or {class_name, config} as Keras serializes it, into that form."""
    held = value if isinstance(value, dict) else {"class_name": value}
    known = {name.lower(): name for name in keras_optimizers.SLOTS}
    name = known.get(str(held.get("class_name")).lower())
    settings = held.get("config") or {}
    if name is None or not isinstance(settings, dict) or not held.keys() <= SERIALIZED:
        raise ValueError(f"one of {', '.join(known.values())}, or {{class_name, config}}")
    return {"module": "keras.optimizers", "class_name": name, "config": settings, "registered_name": None}


def keep_best(value: object) -> dict[str, Any] | None:
    """Read by which metric the best average is found: true, for the loss, or {monitor, mode}; None for false."""
    if value is False:
        return None
    try:
        return rule({} if value is True else value, {})
    except ValueError as error:
        raise ValueError(f"true or {error}" if not isinstance(value, dict) else str(error)) from None


def rule(value: object, own: Fields) -> dict[str, Any]:
    """Read a rule that looks at a metric: which one, which way it is better, and fields of the rule's own."""
    read: Fields = {"monitor": (monitor, "loss"), **own, "mode": (one_of("auto", "min", "max"), "auto")}
    if not isinstance(value, dict) or not value.keys() <= read.keys():
        raise ValueError(f"an object of {', '.join(read)}")
    found = {name: read_part(name, of, value[name]) if name in value else usual for name, (of, usual) in read.items()}
    if found["mode"] == "auto":
        found["mode"] = mode(found["monitor"])
    return found


def read_part(name: str, read: Callable[[object], Any], value: object) -> Any:
    """Return a value of an object; ValueError that names it."""
    try:
        return read(value)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None


def monitor(value: object) -> str:
    """Read a metric's name, as in `val_loss` or `loss`."""
    if not isinstance(value, str) or not 0 < len(value) <= NAME:
        raise ValueError("the name of a metric, loss or accuracy")
    return value.removeprefix("val_")


def mode(metric: str) -> str:
    """Return whether a metric is better by its max or its min; ValueError where its name does not tell."""
    if (found := keras_names.direction(metric)) is None:
        raise ValueError(f"mode, min or max, as nothing tells it of {shown(metric)[1:-1]}")
    return found


def goal(value: object) -> dict[str, float]:
    """Read which value of a metric is enough."""
    if not isinstance(value, dict) or len(value) != 1:
        raise ValueError("an object of one metric and its value, as {accuracy: 0.98}")
    ((name, enough),) = value.items()
    found = monitor(name)
    if keras_names.direction(found) is None:
        raise ValueError(
            "loss, or a metric that is a mean over examples by a name that tells its direction, as accuracy"
        )
    return {found: number("a number for the metric", lambda _: True)(enough)}


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
