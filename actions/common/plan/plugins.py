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


def is_plugin(part: Mapping[str, Any]) -> bool:
    """Return whether an object of a configuration is one of the plugins': Keras looks for its registered name first."""
    name = part.get("config") if part.get("class_name") == "function" else part.get("registered_name")
    return isinstance(name, str) and name in known().names
