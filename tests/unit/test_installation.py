"""scripts/installation.py and the lock files: what is pinned, and what a machine without the prerequisites hears."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

import installation
from installation import ROOT, MissingError, Part
from steps import FailedError

LOCKS = ["requirements.txt", "runtime/image/dl-python/requirements.txt", "runtime/image/dl-tensorflow/requirements.txt"]
STOCK_LOCKS = ["runtime/image/stock-python/requirements.txt", "runtime/image/stock-python/source.txt"]
NODE_LOCKS = ["compositions/package-lock.json", "runtime/localwhisk/node/package-lock.json"]


def pins(lock):
    return dict(re.findall(r"^([\w.-]+)==(\S+)", (ROOT / lock).read_text(), re.MULTILINE))


@pytest.mark.parametrize("lock", LOCKS + STOCK_LOCKS)
def test_every_package_is_pinned_with_hashes_and_without_a_place(lock):
    text = (ROOT / lock).read_text()
    requirements = re.sub(r"\s*#.*", "", text).replace("\\\n", " ").split("\n")
    assert not [line for line in requirements if line and not re.fullmatch(r"\S+==\S+( +--hash=sha256:\w{64})+", line)]
    assert "://" not in text


@pytest.mark.parametrize("lock", NODE_LOCKS)
def test_node_locks_name_no_place(lock):
    assert not re.findall(r'"resolved": "(?!https://registry\.npmjs\.org/)', (ROOT / lock).read_text())


def test_the_environments_agree_on_versions():
    everything, python, tensorflow = map(pins, LOCKS)
    assert python.items() <= everything.items() and tensorflow.items() <= everything.items()


@pytest.mark.parametrize(
    ("programs", "said"),
    [
        ({}, "git is missing"),
        ({"git": ""}, "npm of Node 20 or newer is missing"),
        ({"git": "", "npm": ""}, "Node 20 or newer is missing (no node on PATH)"),
        ({"git": "", "npm": "", "node": "v18.19.0"}, "Node 20 or newer is missing (node is v18.19.0)"),
        ({"git": "", "npm": "", "node": "v20.1.0"}, "Go 1.25 or newer is missing (no go on PATH)"),
        (
            {"git": "", "npm": "", "node": "v22.0.0", "go": "go version go1.9.7 linux/amd64"},
            "Go 1.25 or newer is missing (go is go version go1.9.7 linux/amd64)",
        ),
    ],
)
def test_a_missing_prerequisite_is_named_in_one_sentence(tmp_path, monkeypatch, programs, said):
    provide(tmp_path, programs)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MissingError, match=f"^{re.escape(said)}$"):
        installation.check_prerequisites()


def test_a_machine_with_all_is_taken(tmp_path, monkeypatch):
    provide(tmp_path, {"git": "", "npm": "", "node": "v20.0.0", "go": "go version go1.25.0 linux/arm64"})
    monkeypatch.setenv("PATH", str(tmp_path))
    installation.check_prerequisites()


def test_without_python_3_11_one_sentence(tmp_path):
    provide(tmp_path, {"python3": ""})
    (tmp_path / "dirname").symlink_to("/usr/bin/dirname")
    (tmp_path / "python3").write_text("#!/bin/sh\nexit 1\n")  # another version fails the script's question
    ran = subprocess.run(
        [ROOT / "scripts" / "install"], env={"PATH": str(tmp_path)}, capture_output=True, text=True, check=False
    )
    expected = "scripts/install: Python 3.11 is missing (no python3.11, python3 or python on PATH is 3.11)\n"
    assert (ran.returncode, ran.stdout, ran.stderr) == (1, "", expected)


def test_a_part_is_made_again_only_when_its_lock_changes(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(installation, "ROOT", tmp_path)
    monkeypatch.setattr(installation, "LOCAL", tmp_path / ".local")
    (tmp_path / "lock").write_text("one")
    part = Part("thing", ("lock",), "made", lambda steps: steps.run("touch", "made", cwd=tmp_path))
    for change in (lambda: None, lambda: (tmp_path / "lock").write_text("two"), (tmp_path / "made").unlink):
        change()
        assert not part.current()
        installation.install([part])
        assert part.current()
        assert re.fullmatch(r"installing thing\nthing: \d+ s\n", capsys.readouterr().out)
    installation.install([part])
    assert capsys.readouterr().out == ""


def test_a_part_that_failed_is_made_again(tmp_path, monkeypatch):
    monkeypatch.setattr(installation, "ROOT", tmp_path)
    monkeypatch.setattr(installation, "LOCAL", tmp_path / ".local")
    (tmp_path / "lock").write_text("one")
    part = Part("thing", ("lock",), "made", lambda steps: steps.run("sh", "-c", "touch made; false", cwd=tmp_path))
    with pytest.raises(FailedError, match="^sh -c touch made; false: ended with 1 and said:$"):
        installation.install([part])
    assert not part.current()


def provide(folder: Path, programs):
    """Put programs on a PATH of their own that say these words."""
    for name, words in programs.items():
        (folder / name).write_text(f"#!{sys.executable}\nprint({words!r})\n")
        (folder / name).chmod(0o755)
