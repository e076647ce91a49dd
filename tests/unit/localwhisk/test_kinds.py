"""Kinds: OpenWhisk's runtimes.json, and how an image's containers start."""

import json
from pathlib import Path

import pytest

from localwhisk.kinds import Kinds, StemCell
from localwhisk.settings import ImageSource, Settings

MANIFEST = {"runtimes": {"python": [
    {"kind": "python:3.10", "default": True, "deprecated": True, "image": {"prefix": "o", "name": "p", "tag": "1"}},
    {"kind": "python:3.11-x", "image": {"name": "x"}, "stemCells": [
        {"initialCount": 2, "memory": "256 MB", "reactive": {"minCount": 1}}, {"count": 1, "memory": "1 GB"},
    ]},
], "nodejs": [
    {"kind": "nodejs:20", "image": {"registry": "r:5000", "prefix": "o", "name": "n", "tag": "20"}},
]}}  # fmt: skip


@pytest.fixture
def kinds(tmp_path):
    path = tmp_path / "runtimes.json"
    path.write_text(json.dumps(MANIFEST))
    images = {"x": ImageSource(Path("/venv"), {"OW_PRELOAD": "numpy,json"})}
    return Kinds(Settings(tmp_path, runtimes=path, images=images))


def test_a_manifest(kinds):
    assert [kind.image for kind in kinds.by_name.values()] == ["o/p:1", "x", "r:5000/o/n:20"]
    assert kinds.by_name["python:3.11-x"].stem_cells == (StemCell(256, 2), StemCell(1024, 1))
    assert kinds.families()["nodejs"] == [{
        "kind": "nodejs:20", "image": "r:5000/o/n:20", "default": True, "deprecated": False, "attached": False,
        "requireMain": False,
    }]  # fmt: skip


@pytest.mark.parametrize(("name", "expected"), [
    ("python:default", "python:3.10"), ("nodejs:default", "nodejs:20"), ("nodejs:20", "nodejs:20"),
    ("php:default", None),
])  # fmt: skip
def test_a_default_is_its_familys(kinds, name, expected):
    kind = kinds.resolve(name)
    assert (kind and kind.name) == expected


def test_how_containers_start(kinds):
    launch = kinds.launch("x", "python:3.11-x")
    assert launch.command[0] == "/venv/bin/python"
    assert launch.path.startswith("/venv/bin:")
    assert launch.environment == {"OW_PRELOAD": "numpy,json"}
    assert kinds.launch("x", None) == launch
    assert kinds.launch("unheard/of:1", None) is None
    assert kinds.launch("o/n:20", "nodejs:20").command[1].endswith("localwhisk/node/proxy.js")
    assert kinds.launch("o/p:2", "python:3.11").command[0].endswith("/bin/python")


@pytest.mark.parametrize("kind", ["python:3.10", "python:3.11-x", "python:3", "nodejs:18", "go:1.20", "php:8.1", None])
def test_no_kind_runs_by_an_interpreter_of_another(kinds, kind):
    assert kinds.launch("unheard/of:1", kind) is None


def test_a_size_must_have_a_unit(tmp_path):
    manifest = {"runtimes": {"a": [{"kind": "a:1", "image": {"name": "a"}, "stemCells": [{"memory": "256"}]}]}}
    (tmp_path / "r.json").write_text(json.dumps(manifest))
    with pytest.raises(ValueError, match=r"^stemCells.memory: got '256', expected a size such as '256 MB'$"):
        Kinds(Settings(tmp_path, runtimes=tmp_path / "r.json"))
