"""The action images without Docker: their environments as the Dockerfile says them, and what stands for each here.

Used by local_platform, deployment and the benchmarks. Only the Dockerfile says what a container's environment is.
"""

import json
import re
import shlex
from collections.abc import Mapping
from pathlib import Path

from services import ROOT, write_private

FOLDER = ROOT / "runtime" / "image"
PYTHON_IMAGE = "openwhisk-dl/dl-python:0.1.0"
TENSORFLOW_IMAGE = "openwhisk-dl/dl-tensorflow:0.1.0"
STOCK = ".venv-stock"  # what OpenWhisk's own Python image holds
STANDS_FOR = {PYTHON_IMAGE: ("dl-python", ".venv-dl"), TENSORFLOW_IMAGE: ("dl-tensorflow", ".venv-tensorflow")}


def environments() -> dict[str, dict[str, str]]:
    """Return what ENV sets in each stage of the Dockerfile, and in those it builds on."""
    stages: dict[str, dict[str, str]] = {}
    current: dict[str, str] = {}
    for line in (FOLDER / "Dockerfile").read_text().replace("\\\n", " ").splitlines():
        if stage := re.fullmatch(r"FROM (\S+) AS (\S+)", line):
            current = stages[stage[2]] = dict(stages.get(stage[1], {}))
        elif line.startswith("ENV "):
            current |= dict(pair.split("=", 1) for pair in shlex.split(line)[1:])
    return stages


def flags(folder: Path) -> list[str]:
    """Say which virtual environment stands for which image; what its environment holds is written into the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    known = environments()
    pairs = [f"{image}={ROOT / STOCK}" for image in stock_images()]
    for image, (stage, virtual) in STANDS_FOR.items():
        pairs.append(f"{image}={ROOT / virtual},{write(folder / f'{stage}.env', known[stage])}")
    return [word for pair in pairs for word in ("--image", pair)]


def write(path: Path, environment: Mapping[str, str]) -> Path:
    """Write an environment as `docker run --env-file` reads it."""
    write_private(path, "".join(f"{name}={value}\n" for name, value in environment.items()))
    return path


def parts(image: str) -> dict[str, str]:
    """Take an image's name apart as OpenWhisk's runtimes.json has it: registry, prefix, name and tag."""
    place, _, last = image.rpartition("/")
    first, _, rest = place.partition("/")
    far = bool(re.search(r"[.:]|^localhost$", first))
    name, _, tag = last.partition(":")
    found = {"registry": first if far else "", "prefix": rest if far else place, "name": name, "tag": tag}
    return {part: text for part, text in found.items() if text}


def stock_images() -> list[str]:
    """Return the names of OpenWhisk's own Python images in runtimes.json, with their tag and without."""
    runtimes = json.loads((FOLDER / "runtimes.json").read_text())["runtimes"]
    named = [entry["image"] for entry in runtimes["python"]]
    names = {f"{image['prefix']}/{image['name']}:{image['tag']}" for image in named} - STANDS_FOR.keys()
    return sorted(names | {name.rpartition(":")[0] for name in names})
