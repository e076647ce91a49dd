"""The action images: what they are built from, and, where a Docker engine answers, how their containers behave."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import images

ROOT = Path(__file__).parents[3]
FOLDER = ROOT / "runtime/image"
NAMES = {target: image for image, (target, _) in images.STANDS_FOR.items()}


def pins(target: str) -> dict[str, str]:
    lock = (FOLDER / target / "requirements.txt").read_text()
    return dict(re.findall(r"(?m)^([a-z0-9.-]+)==(\S+) \\$", lock))


@pytest.mark.parametrize("target", NAMES)
def test_every_requirement_is_pinned_and_hashed(target: str) -> None:
    lock = (FOLDER / target / "requirements.txt").read_text()
    requirements = [line for line in lock.splitlines() if line and not line.startswith((" ", "#"))]
    assert len(requirements) == len(pins(target)) > 0
    assert len(re.findall(r"(?m)^\S+==\S+ \\\n    --hash=sha256:[0-9a-f]{64}", lock)) == len(requirements)


@pytest.mark.parametrize("target", NAMES)
def test_a_lock_file_names_no_host_and_no_folder(target: str) -> None:
    lock = (FOLDER / target / "requirements.txt").read_text()
    assert re.findall(r"--(?:index|extra-index|find|trusted)\S*(?= )|://|@ ", lock.split("\n", 6)[-1]) == []


def test_the_images_agree_on_what_both_have() -> None:
    small, large = pins("dl-python"), pins("dl-tensorflow")
    assert {small[name] == large[name] for name in small.keys() & large.keys()} == {True}
    assert "tensorflow-cpu" not in small and not large.keys() & {"boto3", "pyarrow", "pillow"}  # a trainer has no keys


def test_the_small_image_is_what_its_actions_import() -> None:
    direct = re.findall(r"(?m)^(\w+)==", (FOLDER / "dl-python/requirements.in").read_text())
    assert direct == ["boto3", "numpy", "pillow", "pyarrow", "pyfive", "safetensors"]


def test_the_runtimes_manifest_names_the_images() -> None:
    runtimes = json.loads((FOLDER / "runtimes.json").read_text())["runtimes"]
    kinds = {entry["kind"]: entry for family in runtimes.values() for entry in family}
    images = {kind: "{prefix}/{name}:{tag}".format(**entry["image"]) for kind, entry in kinds.items()}
    assert images == {
        "nodejs:20": "openwhisk/action-nodejs-v20:nightly",
        "python:3.11": "openwhisk/action-python-v3.11:nightly",
        "python:3.11-dl": NAMES["dl-python"],
        "python:3.11-tensorflow": NAMES["dl-tensorflow"],
    }
    assert [kind for kind, entry in kinds.items() if entry["default"]] == ["nodejs:20", "python:3.11"]
    cells = {kind: entry["stemCells"] for kind, entry in kinds.items() if "stemCells" in entry}
    assert cells == {
        "python:3.11-dl": [{"initialCount": 3, "memory": "256 MB"}],
        "python:3.11-tensorflow": [{"initialCount": 4, "memory": "384 MB"}],
    }


@pytest.mark.image
@pytest.mark.parametrize(
    ("target", "cases"),
    [("dl-python", "not nodejs"), ("dl-tensorflow", "python and (echo or raises or exits or sigterm or preload)")],
)
def test_the_contract_holds_inside_the_image(target: str, cases: str, built: dict[str, str]) -> None:
    files = [str(Path(__file__).with_name(name)) for name in ("test_container.py", "test_proxy.py")]
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", cases, *files]
    ran = subprocess.run(
        command,
        cwd=ROOT,
        env={**os.environ, "CONTAINER_IMAGE": built[target]},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout
    assert re.search(r"\d+ passed", ran.stdout), ran.stdout


@pytest.fixture
def invoke(built: dict[str, str], contained: Callable[..., Any]) -> Callable[[str, str], Any]:
    """Run an action's code once in a fresh container as OpenWhisk limits it; its answers and what it printed."""

    def run(target: str, code: str) -> Any:
        container = contained(built[target])
        answers = [container.post("/init", {"value": {"code": code}}), container.post("/run", {"value": {}})]
        return [answer.body for answer in answers], *container.outputs()

    return run


@pytest.mark.image
@pytest.mark.parametrize("target", NAMES)
def test_docker_reads_the_same_environment(target: str, built: dict[str, str]) -> None:
    command = ["docker", "inspect", "--format={{json .Config.Env}}", built[target]]
    made = dict(entry.split("=", 1) for entry in json.loads(subprocess.check_output(command)))
    assert made.items() >= images.environments()[target].items()


SENTINEL = "XXX_THE_END_OF_A_WHISK_ACTIVATION_XXX\n"


@pytest.mark.image
def test_the_small_image_has_no_tensorflow(invoke: Callable[[str, str], Any]) -> None:
    code = "import boto3, numpy, safetensors.numpy\nimport tensorflow\ndef main(a): return a"
    answers, _, stderr = invoke("dl-python", code)
    assert answers[0] == {"error": "Cannot start action. Check logs for details."}
    assert "No module named 'tensorflow'" in stderr


@pytest.mark.image
def test_the_large_image_has_tensorflow_at_hand(invoke: Callable[[str, str], Any]) -> None:
    code = (
        "import os, sys, tempfile\nEARLY = 'tensorflow' in sys.modules\nimport keras, tensorflow, safetensors\n"
        "def main(a):\n  tempfile.TemporaryFile().close()\n"
        "  x = keras.random.uniform((8, 28, 28, 1), seed=1)\n  y = keras.layers.Conv2D(4, 3)(x)\n"
        "  return {'early': EARLY, 'shape': list(y.shape), 'user': os.getuid(), 'home': os.environ['HOME'],"
        " 'version': tensorflow.__version__}"
    )
    answers, stdout, stderr = invoke("dl-tensorflow", code)
    version = pins("dl-tensorflow")["tensorflow-cpu"]
    result = {"early": True, "shape": [8, 26, 26, 4], "user": 65534, "home": "/tmp", "version": version}
    assert (answers, stdout, stderr) == ([{"ok": True}, result], SENTINEL, SENTINEL)
