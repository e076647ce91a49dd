"""Containers that a killed localwhisk left: ended, but only if they are the same processes."""

import json
import subprocess

import pytest

from localwhisk.container import kill_orphans
from localwhisk.processes import started


def assert_ended(process, ended):
    """Hold a process to having been killed, or not; it is gone afterwards."""
    try:
        assert process.wait(20 if ended else 0.2) == -9
        assert ended
    except subprocess.TimeoutExpired:
        assert not ended
    finally:
        process.kill()
        process.wait()


@pytest.mark.parametrize(("later", "ended"), [(0, True), (1, False)])
def test_orphans_are_known_by_id_and_start_time(tmp_path, later, ended):
    process = subprocess.Popen(["sleep", "60"], start_new_session=True)
    note = {"pid": process.pid, "started": started(process.pid) + later, "groups": [], "name": "guest/a"}
    (tmp_path / "containers/c1").mkdir(parents=True)
    (tmp_path / "containers/c1/process.json").write_text(json.dumps(note))
    kill_orphans(tmp_path / "containers")
    assert_ended(process, ended)
    assert list((tmp_path / "containers").iterdir()) == []


@pytest.mark.parametrize(("home", "ended"), [("containers/c1/tmp", True), ("containers", False), ("other", False)])
def test_orphans_that_nobody_noted_are_known_by_their_home(tmp_path, home, ended):
    environment = {"HOME": str(tmp_path / home), "PATH": "/usr/bin:/bin"}
    process = subprocess.Popen(["sleep", "60"], start_new_session=True, env=environment)
    kill_orphans(tmp_path / "containers")
    assert_ended(process, ended)
