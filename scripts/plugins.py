"""What an operator's own modules, named by DL_PLUGINS, add to the actions: their code, and what they register at Keras.

They are imported once in the environment of the trainer's image: what fails there fails here, before anything is
deployed. Modules in the folder `plugins/` go into the trainer's zip, also those that the named ones import; one that
the image has stays there.
"""

import json
import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "plugins"
PYTHON = ROOT / ".venv-tensorflow" / "bin" / "python"
LIST = """
import importlib, json, sys
import keras
before = set(keras.saving.get_custom_objects())
for name in sys.argv[1:]:
    importlib.import_module(name)
names = sorted(set(keras.saving.get_custom_objects()) - before)
print(json.dumps({"names": names, "loaded": sorted({name.partition(".")[0] for name in sys.modules})}))
"""


class PluginError(Exception):
    """A plugin that cannot be deployed, in one sentence."""


@dataclass(frozen=True)
class Plugins:
    """The files of modules by their place in a zip, and `plugins.json`, as common/plan/plugins.py reads it."""

    files: Mapping[str, bytes]
    document: bytes | None


def named(text: str) -> list[str]:
    """Return the modules that DL_PLUGINS names, parted by commas or spaces."""
    return re.findall(r"[^\s,]+", text)


def collect(modules: list[str], folder: Path = FOLDER) -> Plugins:
    """Import modules as the trainer will; PluginError where one cannot be, or what they register is of no use."""
    if not modules:
        return Plugins({}, None)
    command = [str(PYTHON), "-c", LIST, *modules]
    ran = subprocess.run(command, env={"PYTHONPATH": str(folder)}, capture_output=True, text=True, check=False)
    if ran.returncode:
        cause = (ran.stderr.strip().splitlines() or ["no reason"])[-1]
        raise PluginError(f"DL_PLUGINS: got {', '.join(modules)}, which the trainer cannot import: {cause}")
    held = json.loads(ran.stdout.strip().splitlines()[-1])
    names = held["names"]
    bare = [name for name in names if ">" not in name]  # Keras would take it for a class of its own in any model
    if bare or not names:
        expected = "expected classes with keras.saving.register_keras_serializable"
        got = f"{bare[0]} without a package" if bare else "nothing"
        raise PluginError(f"DL_PLUGINS: got {', '.join(modules)}, which register {got}, {expected}")
    document = json.dumps({"modules": modules, "names": names}).encode()
    return Plugins({name: path.read_bytes() for name, path in sources(held["loaded"], folder).items()}, document)


def sources(tops: list[str], folder: Path) -> dict[str, Path]:
    """Return the Python files of modules and whole packages in the folder, by their place below it."""
    found: dict[str, Path] = {}
    for top in tops:
        paths = sorted((folder / top).rglob("*.py")) or [folder / f"{top}.py"]
        found |= {str(path.relative_to(folder)): path for path in paths if path.exists()}
    return found
