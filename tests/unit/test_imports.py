"""Imports point one way: actions to common, wing by wing, scripts to localwhisk; only training has TensorFlow."""

import ast
import itertools
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
ACTIONS, COMMON = ROOT / "actions", ROOT / "actions" / "common"
LOCALWHISK, SCRIPTS = ROOT / "runtime" / "localwhisk", ROOT / "scripts"
EVENTS = ROOT / "runtime" / "events"
OURS = {"common", "events", "localwhisk", "proxy", *(path.stem for path in SCRIPTS.glob("*.py"))}
WINGS = [{"errors"}, {"storage"}, {"data"}, {"plan"}, {"rounds", "training"}, {"split"}, {"reports"}]
TENSORFLOW = {"tensorflow", "keras"}
LOCK = (ROOT / "runtime" / "image" / "dl-python" / "requirements.txt").read_text()
PILLOW = {"PIL"}  # what pillow is imported as
DL_PYTHON = PILLOW | set(
    re.findall(r"^([\w-]+)==", LOCK, re.MULTILINE)
)  # what an action may import: the image holds no more


def imported(path: Path) -> set[str]:
    """Return the top-level names that a file imports, inside functions too."""
    return set(names(ast.parse(path.read_text())))


def names(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield "." if node.level else str(node.module).partition(".")[0]


def files(folder: Path):
    found = [path for path in sorted(folder.rglob("*.py")) if not {"node_modules", "common"} & set(path.parts[:-1])]
    return [pytest.param(path, id=str(path.relative_to(ROOT))) for path in found]


def library():
    return [pytest.param(path, id=str(path.relative_to(COMMON))) for path in sorted(COMMON.rglob("*.py"))]


@pytest.mark.parametrize("path", files(ACTIONS))
def test_an_action_imports_common_and_numpy_alone(path):
    assert imported(path) - sys.stdlib_module_names <= {"common", "numpy"}


@pytest.mark.parametrize("path", library())
def test_common_imports_what_the_images_hold(path):
    tensorflow = TENSORFLOW if path.relative_to(COMMON).parts[0] == "training" else set()
    assert imported(path) - sys.stdlib_module_names <= DL_PYTHON | {"common"} | tensorflow


@pytest.mark.parametrize("path", library())
def test_a_wing_imports_itself_and_those_before_it(path):
    wing = path.relative_to(COMMON).parts[0] if path.parent != COMMON else path.stem
    earlier = set().union(*itertools.takewhile(lambda wings: wing not in wings, WINGS))
    modules = {str(node.module) for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.ImportFrom)}
    assert {name.split(".")[1] for name in modules if name.startswith("common.")} <= earlier | {wing}


@pytest.mark.parametrize("path", files(LOCALWHISK))
def test_localwhisk_knows_neither_actions_nor_scripts(path):
    assert imported(path) & OURS <= {"localwhisk"}


@pytest.mark.parametrize("path", files(EVENTS))
def test_the_relay_knows_nobody(path):
    assert imported(path) & OURS <= {"events"}


@pytest.mark.parametrize("path", files(SCRIPTS))
def test_scripts_import_localwhisk_and_each_other(path):
    assert not imported(path) & {"common", *TENSORFLOW}


def test_the_proxy_needs_the_standard_library_alone():
    assert imported(ROOT / "runtime" / "image" / "proxy.py") <= sys.stdlib_module_names


def test_the_installer_needs_the_standard_library_alone():
    assert imported(SCRIPTS / "installation.py") <= sys.stdlib_module_names | {"steps"}
    assert imported(SCRIPTS / "steps.py") <= sys.stdlib_module_names


def test_no_script_hides_a_module_of_the_standard_library():
    assert not {path.stem for path in SCRIPTS.glob("*.py")} & sys.stdlib_module_names
