"""A Keras configuration as JSON holds it: its parts, what they are called, and whether they are Keras' own.

Used by the planner's readers of `.keras` files. A configuration may come from anywhere: any value may be of any type.
"""

from collections.abc import Iterator
from typing import Any

from common.errors import ModelError, plain
from common.plan.plugins import plugin

Config = dict[str, Any]
FUNCTIONS = ("function", "__lambda__")
WAY_OUT = ", or what an operator adds by DL_PLUGINS"


def mapping(value: Any) -> Config:
    """Return an object, an empty one for anything else."""
    return value if isinstance(value, dict) else {}


def listing(value: Any) -> list[Any]:
    """Return a list, an empty one for anything else."""
    return value if isinstance(value, list) else []


def word(value: Any) -> str:
    """Return a name as a message may hold it: one line, short."""
    return plain(value)[:60]


def parts(config: Any) -> Iterator[Config]:
    """Yield every object inside a configuration, however deep."""
    waiting = [config]
    while waiting:
        part = waiting.pop()
        if isinstance(part, dict):
            yield part
        waiting += reversed(listing(part) or list(mapping(part).values()))


def called(part: Config) -> str:
    """Return the name by which a user knows a class or a function."""
    name = part.get("class_name")
    if name == "__lambda__":
        return "<lambda>"
    return word(part.get("config") if name == "function" else name).rpartition(">")[2]


def is_own(part: Config) -> bool:
    """Return whether an object is a class of Keras itself, as far as its module and registered name say."""
    name = part.get("class_name")
    keras = part.get("module", "keras") is not None and not is_foreign(part)
    return keras and name not in FUNCTIONS and part.get("registered_name") in (None, name)


def is_foreign(part: Config) -> bool:
    """Return whether an object comes from a module that is none of Keras."""
    module = part.get("module") or "keras"
    return part.get("class_name") not in FUNCTIONS and word(module).split(".")[0] != "keras"


def name_plugins(config: Any) -> None:
    """Call the plugins' classes by their registered names: their own may be those of Keras' layers, losses, metrics."""
    for part in parts(config):
        if (name := plugin(part)) and part["class_name"] != "function":
            part["class_name"] = name


def way_out(part: Config) -> str:
    """Return how a refused object may be had all the same, nothing for a Lambda and for what Keras itself has."""
    return "" if part.get("class_name") in ("Lambda", "__lambda__") or is_own(part) else WAY_OUT


def refuse_code(config: Any, expected: str = "layers") -> None:
    """Refuse what needs code beyond Keras itself: Lambda layers, custom classes, functions."""
    for part in parts(config):
        if "class_name" not in part:
            continue
        if part["class_name"] == "Lambda" or not (is_own(part) or plugin(part)):
            module = f"{word(part['module'])}." if is_foreign(part) else ""
            what = f"{module}{called(part)}"
            kept = f"{expected} of Keras itself without code of their own{way_out(part)}"
            raise ModelError(f"model: got {what}, expected {kept}")
        if part["class_name"] == "DTypePolicy" and mapping(part.get("config")).get("name") == "bfloat16":
            raise ModelError("model: got the dtype bfloat16, expected float32 or mixed_bfloat16")
        if word(part["class_name"]).startswith("Quantized"):
            raise ModelError("model: got quantized layers, expected float ones: their ranges have no average")
