"""scripts/package: what ships is what the source says, byte for byte, and each zip needs nothing but its image."""

import json
import shutil
import subprocess
import zipfile
from hashlib import sha256
from pathlib import Path

import pytest

import zips
from zips import ROOT, PackageError

TENSORFLOW_ACTIONS = {"trainer"}
ACTIONS = sorted(path.parent.name for path in ROOT.glob("actions/*/__main__.py"))
PLAN = {"plan/plan", "plan/schedule"}
RUN = {
    "data/arrays",
    "data/columns",
    "plan/keras_names",
    "rounds",
    "storage",
    *PLAN,
}  # whoever reads what the waves have left
HELD = {  # wings, or modules of wings
    "planner": {"data", "plan", "reports/progress", "rounds", "storage"},
    "splitter": {"data", "plan/keras_names", "rounds", "split", "storage", *PLAN},
    "trainer": {"training", "plan/keras_config", "plan/plugins", "plan/schedule", "storage/state", "storage/transfer"},
    "reducer": {"split/slices", "split/wave", *RUN},
    "evaluator": {"reports/evaluation", "reports/report", "reports/rules", "training/processor", *RUN},
    "status": {"reports/progress", *RUN},
    "on-upload": set(),
}
JOINS = {path.stem for path in ROOT.glob("compositions/joins/*.js")}
CONDUCTORS = sorted(path.stem for path in ROOT.glob("compositions/*.js"))
# as the proxy loads an action: the zip's root first on the path, __main__.py under another name
LOAD = """
import importlib.util, json, sys
sys.path.insert(0, ".")
spec = importlib.util.spec_from_file_location("main__", "__main__.py")
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
print(json.dumps([callable(module.main), "tensorflow" in sys.modules]))
"""


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("zips")
    zips.build_all(zips=folder)
    return folder


@pytest.fixture
def action(tmp_path: Path) -> Path:
    """Give a small tree of one action and a common library, to be spoilt."""
    folder = tmp_path / "actions" / "greeter"
    common = tmp_path / "actions" / "common"
    for part in (folder, common):
        part.mkdir(parents=True)
    (folder / "__main__.py").write_text("from common import words\n")
    (common / "__init__.py").write_text('"""Shared."""\n')
    (common / "words.py").write_text('HELLO = "hello"\n')
    return folder


def test_the_same_source_gives_the_same_bytes(built: Path, tmp_path: Path) -> None:
    again = {path.name: sha256(path.read_bytes()).digest() for path in zips.build_all(zips=tmp_path)}
    assert again == {path.name: sha256(path.read_bytes()).digest() for path in built.iterdir()}


def test_times_and_modes_of_the_source_do_not_matter(action: Path, tmp_path: Path) -> None:
    first = zips.write(tmp_path / "a.zip", zips.python_action(action)).read_bytes()
    for path in action.parent.rglob("*.py"):
        path.touch()
        path.chmod(0o755)
    assert zips.write(tmp_path / "b.zip", zips.python_action(action)).read_bytes() == first


def test_the_manifest_names_what_is_built(built: Path) -> None:
    named = {line.split("/")[-1] for line in (ROOT / "manifest.yaml").read_text().split() if line.endswith(".zip")}
    assert {path.name for path in built.iterdir()} == named


def test_caches_are_left_out(action: Path) -> None:
    for folder in (action, action.parent / "common"):
        (folder / "__pycache__").mkdir()
        (folder / "__pycache__" / "x.cpython-311.pyc").write_bytes(b"x")
    assert sorted(zips.python_action(action)) == ["__main__.py", "common/__init__.py", "common/words.py"]


def test_an_empty_file_is_refused(action: Path) -> None:
    (action.parent / "common" / "__init__.py").write_text("")
    with pytest.raises(PackageError, match=r"common/__init__\.py: got an empty file, expected at least a docstring"):
        zips.python_action(action)


def test_a_symlink_is_refused(action: Path) -> None:
    words = action.parent / "common" / "words.py"
    words.rename(action.parent / "others.py")
    words.symlink_to("../others.py")
    with pytest.raises(PackageError, match=r"common/words\.py: got a symbolic link, expected a file"):
        zips.python_action(action)


@pytest.mark.parametrize("name", ["notes.txt", "helper.py"])
def test_a_stray_file_beside_an_action_is_refused(action: Path, name: str) -> None:
    (action / name).write_text("x = 1\n")
    with pytest.raises(PackageError, match=name):
        zips.python_action(action)


def test_a_node_package_of_another_version_is_refused(tmp_path: Path) -> None:
    (tmp_path / "node_modules" / "redis").mkdir(parents=True)
    (tmp_path / "node_modules" / "redis" / "package.json").write_text('{"version": "4.0.0"}')
    lock: dict[str, dict[str, object]] = {
        "": {},
        "node_modules/redis": {"version": "3.1.2"},
        "node_modules/standard": {"version": "1", "dev": True},
    }
    with pytest.raises(PackageError, match=r"got version 4\.0\.0, expected 3\.1\.2"):
        dict(zips.node_modules(tmp_path, lock))


def test_a_composition_that_composer_refuses_is_refused(tmp_path: Path) -> None:
    shutil.copytree(
        ROOT / "compositions", tmp_path / "compositions", symlinks=True, ignore=shutil.ignore_patterns("*.js")
    )
    broken = tmp_path / "compositions" / "broken.js"
    broken.write_text("module.exports = require('openwhisk-composer').retry('two')\n")
    with pytest.raises(PackageError, match=r"broken\.js: composer refused it: .*"):
        zips.conductor(broken)


@pytest.mark.parametrize("name", ACTIONS)
def test_a_zip_holds_what_its_action_may_use_and_no_more(built: Path, name: str) -> None:
    """A trainer has no code that could use a key, no other action any that imports TensorFlow."""
    names = zipfile.ZipFile(built / f"{name}.zip").namelist()
    modules = [file[len("common/") : -len(".py")] for file in names if file.startswith("common/")]
    parts = {module.partition("/")[0] if module.partition("/")[0] in HELD[name] else module for module in modules}
    assert {part for part in parts if not part.endswith("__init__")} == {"errors", *HELD[name]}


@pytest.mark.parametrize("name", ACTIONS)
def test_an_action_runs_alone_on_its_image(built: Path, tmp_path: Path, name: str) -> None:
    with zipfile.ZipFile(built / f"{name}.zip") as archive:
        archive.extractall(tmp_path)
    python = ROOT / (".venv-tensorflow" if name in TENSORFLOW_ACTIONS else ".venv-dl") / "bin" / "python"
    command = [str(python), "-I", "-c", LOAD]
    ran = subprocess.run(command, cwd=tmp_path, env={}, capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stdout and json.loads(ran.stdout)) == (0, [True, name in TENSORFLOW_ACTIONS]), (
        ran.stderr
    )


def test_each_join_has_its_composition(built: Path) -> None:
    held = {path.stem: set(zipfile.ZipFile(path).namelist()) for path in built.iterdir()}
    assert {name for name, files in held.items() if "composition.js" in files} == JOINS <= set(CONDUCTORS)


@pytest.mark.parametrize("name", CONDUCTORS)
def test_a_conductor_runs_alone(built: Path, tmp_path: Path, name: str) -> None:
    with zipfile.ZipFile(built / f"{name}.zip") as archive:
        archive.extractall(tmp_path)
    program = """
      for (const name of ['openwhisk', 'redis', 'redis-commands', 'uuid']) require(name)
      const given = { value: [], run: 'r', driver: 'd', wave: null }
      require(process.cwd()).main(given).then(step => console.log(JSON.stringify(step)))
    """
    ran = subprocess.run(["node", "-e", program], cwd=tmp_path, capture_output=True, text=True, check=True)
    step = json.loads(ran.stdout.splitlines()[-1])
    first = {
        "dl-pipeline": "/_/dl/run",
        "run-steps": "/_/dl/planner",
        "train-loop": "/_/dl/reducer",
        "wave-map": None,
    }
    assert step.get("action") == first[name], step
