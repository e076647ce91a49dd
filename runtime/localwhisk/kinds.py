"""The kinds of runtimes.json and the images behind them: what a container of each is started from."""

import json
import os
import re
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from localwhisk.settings import ImageSource, Settings

PYTHON = f"python:{sys.version_info.major}.{sys.version_info.minor}"
NODE = "nodejs:20"


@dataclass(frozen=True)
class StemCell:
    """Containers of a kind that wait, started, for their first action."""

    memory: int  # MB
    count: int


@dataclass(frozen=True)
class Kind:
    """One entry of the runtimes manifest."""

    name: str
    family: str
    image: str
    default: bool
    deprecated: bool
    attached: bool
    require_main: bool
    stem_cells: tuple[StemCell, ...]

    def document(self) -> dict[str, Any]:
        """As the root document shows it."""
        return {
            "kind": self.name,
            "image": self.image,
            "default": self.default,
            "deprecated": self.deprecated,
            "attached": self.attached,
            "requireMain": self.require_main,
        }


@dataclass(frozen=True)
class Launch:
    """The command of a container's first process and what its environment adds."""

    command: tuple[str, ...]
    path: str
    environment: Mapping[str, str]

    @property
    def executable(self) -> bool:
        return os.access(self.command[0], os.X_OK)


class Kinds:
    """The manifest, and how each of its images starts on this machine."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.by_name = _read(settings.runtimes)

    def families(self) -> dict[str, list[dict[str, Any]]]:
        families: dict[str, list[dict[str, Any]]] = {}
        for kind in self.by_name.values():
            families.setdefault(kind.family, []).append(kind.document())
        return families

    def resolve(self, name: str) -> Kind | None:
        """The kind of this name; `python:default` is the default of its family."""
        family, _, version = name.partition(":")
        if version == "default":
            return next((kind for kind in self.by_name.values() if kind.family == family and kind.default), None)
        return self.by_name.get(name)

    def launch(self, image: str, kind: str | None) -> Launch | None:
        """How a container of the image starts; None for an image this machine does not have.

        A kind without an image here runs by an interpreter of this machine if that is of the kind's own version.
        """
        source = self._settings.images.get(image)
        if source is not None:
            return self._python(source)
        if kind == NODE:
            return self._node()
        return self._python(ImageSource(Path(sys.prefix))) if kind == PYTHON else None

    def commands(self) -> list[tuple[str, ...]]:
        """What containers are started with, each once."""
        launches = [self.launch(kind.image, kind.name) for kind in self.by_name.values()]
        launches += [self.launch(image, None) for image in self._settings.images]
        return sorted({launch.command for launch in launches if launch is not None and launch.executable})

    def _python(self, source: ImageSource) -> Launch:
        programs = source.venv / "bin"
        command = (str(programs / "python"), str(self._settings.python_proxy))
        return Launch(command, f"{programs}:/usr/local/bin:/usr/bin:/bin", source.environment)

    def _node(self) -> Launch:
        program = shutil.which("node") or "node"
        return Launch((program, str(self._settings.node_proxy)), f"{Path(program).parent}:/usr/bin:/bin", {})


def _read(path: Path) -> dict[str, Kind]:
    kinds: dict[str, Kind] = {}
    for family, entries in json.loads(path.read_text())["runtimes"].items():
        for entry in entries:
            kinds[entry["kind"]] = _kind(family, entry, alone=len(entries) == 1)
    return kinds


def _kind(family: str, entry: dict[str, Any], alone: bool) -> Kind:
    image = entry["image"]
    name = "/".join(part for part in (image.get("registry"), image.get("prefix"), image["name"]) if part)
    cells = [
        StemCell(_megabytes(cell["memory"]), int(cell.get("initialCount", cell.get("count", 0))))
        for cell in entry.get("stemCells", [])
    ]
    return Kind(
        name=entry["kind"],
        family=family,
        image=f"{name}:{image['tag']}" if image.get("tag") else name,
        default=bool(entry.get("default", alone)),
        deprecated=bool(entry.get("deprecated", False)),
        attached="attached" in entry,
        require_main=bool(entry.get("requireMain", False)),
        stem_cells=tuple(cells),
    )


def _megabytes(text: str) -> int:
    match = re.fullmatch(r"(\d+)\s*(M|MB|m|mb|G|GB|g|gb)", text.strip())
    if match is None:
        raise ValueError(f"stemCells.memory: got {text!r}, expected a size such as '256 MB'")
    return int(match[1]) * (1024 if match[2][0] in "gG" else 1)
