"""Containers under users of their own, where root starts localwhisk and others may read what they need."""

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
SPY = """
import os
def attempt(path):
  try:
    return sorted(os.listdir(path)) if os.path.isdir(path) else open(path).read()
  except OSError as error:
    return type(error).__name__
def main(a):
  open('mine', 'w').write('secret')
  open(os.environ['HOME'] + '/mine', 'w').write('secret')
  return {'user': os.getuid(), 'groups': os.getgroups(), 'folder': os.getcwd(), 'home': os.environ['HOME'],
          'seen': {path: attempt(path) for path in a['paths']}}
"""


@pytest.fixture
def open_folder():
    """A folder that every user may enter, with an interpreter that every user may run."""
    if os.geteuid() != 0:
        pytest.skip("not root: users of their own need it")
    folder = Path(tempfile.mkdtemp(prefix="localwhisk-"))
    folder.chmod(0o711)
    yield folder, shutil.which("python3", path="/usr/bin:/usr/local/bin")
    shutil.rmtree(folder)


@pytest.fixture
def host(open_folder, launch, write_runtimes):
    """A localwhisk whose containers may have users of their own."""
    folder, python = open_folder
    subprocess.run([python, "-m", "venv", "--without-pip", folder / "venv"], check=True)
    runtimes = write_runtimes(folder / "runtimes.json")
    flags = ("--runtimes", str(runtimes), "--image", f"whisk/action-python:v3.11={folder / 'venv'}")
    running = launch(folder / "state", *flags)
    yield running
    assert running.stop() == 0


def test_a_container_reads_neither_anothers_folder_nor_the_key(host):
    assert host.ready.endswith("containers: users of their own)"), host.ready
    for name in ("one", "other"):
        host.action(name, SPY + f"# {name}")
    state = host.state
    one = host.result("one", {"paths": []})[1]
    folder = Path(one["home"]).parent
    private = [state / "wskprops", state / "localwhisk.sqlite", state / "localwhisk.json", state / "containers",
               one["folder"] + "/mine", one["home"] + "/mine", one["home"], folder / "stdout.log",
               folder / "process.json"]  # fmt: skip
    assert all(Path(path).exists() for path in private)
    other = host.result("other", {"paths": [str(path) for path in private]})[1]
    assert set(other["seen"].values()) == {"PermissionError"}
    users = {one["user"], other["user"]}
    assert len(users) == 2
    assert all(user >= 0x70000000 for user in users)
    assert (one["groups"], other["groups"]) == ([], [])


def test_what_a_container_writes_is_its_own(host):
    host.action("spy", SPY)
    spied = host.result("spy", {"paths": []})[1]
    again = host.result("spy", {"paths": [spied["home"] + "/mine", "/proc/1/environ"]})[1]
    assert again["seen"] == {spied["home"] + "/mine": "secret", "/proc/1/environ": "PermissionError"}


def test_logs_and_limits_are_as_ever(host):
    host.action("talks", "import sys\ndef main(a):\n  print('out')\n  print('err', file=sys.stderr)\n  return {}")
    lines = host.record(host.invoke("talks"))["logs"]
    assert [line.partition("Z")[2].strip() for line in lines] == ["stdout: out", "stderr: err"]
    host.action("hungry", "def main(a):\n  x = bytearray(300 << 20)\n  return {}", memory=128)
    assert host.result("hungry")[1] == {"error": "The action exhausted its memory and was aborted."}


def test_logs_are_no_way_out(host):
    host.action("links", """
import os
def main(a):
  folder = os.path.dirname(os.environ['HOME'])
  try:
    os.symlink(a['key'], folder + '/stdout.log.new')
    os.replace(folder + '/stdout.log.new', folder + '/stdout.log')
  except OSError as error:
    return {'refused': type(error).__name__}
  return {}
""")  # fmt: skip
    assert host.result("links", {"key": str(host.state / "wskprops")}) == (200, {"refused": "PermissionError"})


def test_what_is_closed_to_others_is_named(open_folder, launch, write_runtimes):
    folder, _ = open_folder
    folder.chmod(0o700)
    host = launch(folder / "state", "--runtimes", str(write_runtimes(folder / "runtimes.json")))
    assert host.ready.endswith(f"containers: share one user: {folder} is closed to others)"), host.ready
    assert (host.state.stat().st_mode & 0o777) == 0o700
    host.action("who", "import os\ndef main(a): return {'user': os.getuid()}")
    assert host.result("who") == (200, {"user": 0})
    assert host.stop() == 0
