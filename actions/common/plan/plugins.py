"""Classes and functions of an operator's own that models may name; used by planner and trainer.

`plugins.json` in an action's zip holds them, as scripts/package found them in the modules of DL_PLUGINS: the planner
knows by it which names Keras will find registered, the trainer which modules to import before it loads a model.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

FILE = Path(__file__).resolve().parents[2] / "plugins.json"


@dataclass(frozen=True)
class Plugins:
    """Modules to import, and the names under which they register classes and functions, as `package>Name`."""

    modules: tuple[str, ...] = ()
    names: frozenset[str] = frozenset()


@cache
def known() -> Plugins:
    """Return the deployment's plugins, none where there is no file."""
    if not FILE.exists():
        return Plugins()
    held = json.loads(FILE.read_text())
    return Plugins(tuple(held["modules"]), frozenset(held["names"]))


def plugin(part: Mapping[str, Any]) -> str | None:
    """Return the registered name of an object that is one of the plugins', None for others: Keras looks there first.

    Lambda and what Keras keeps for itself (`__lambda__`, `__typespec__`) it does not look up so.
    """
    kind = part.get("class_name")
    if not isinstance(kind, str) or kind == "Lambda" or kind.startswith("__"):
        return None
    name = part.get("config") if kind == "function" else part.get("registered_name")
    return name if isinstance(name, str) and name in known().names else None
