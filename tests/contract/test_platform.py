"""scripts/platform and deploy: what they start they find again and stop whole; what they deploy they remove again."""

import json
import os
import signal
import stat
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

import deployment
import processes
import services
from deployment import DeployError
from local_platform import ADDRESSES, Platform
from processes import Process
from services import ROOT, ServiceError

FLAGS = ["--user-memory", "1024"]


@pytest.fixture(scope="module")
def up(tmp_path_factory):
    """Give a platform that a shell which is gone has started."""
    state = tmp_path_factory.mktemp("up")
    command = [sys.executable, ROOT / "scripts" / "local_platform.py", "start", "--state", state, "--", *FLAGS]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    yield Platform(state)
    Platform(state).stop()


@pytest.fixture
def wsk(up):
    """Give wsk with the platform's settings: its output, whatever the exit status."""

    def run(*words):
        ran = deployment.run(up.environment(), "wsk", *words)
        return ran.stdout + ran.stderr

    return run


def test_it_survives_the_shell_that_started_it(up):
    assert list(up.running()) == list(ADDRESSES)
    assert services.redis_answers(up.environment()["REDIS_URI"])
    assert up.bucket().client.list_buckets()["Buckets"][0]["Name"] == up.environment()["S3_BUCKET"]


def test_secrets_are_for_their_owner_alone(up):
    private = [up.env_file, up.state / "wskprops", up.state / "platform.json", up.state / "redis" / "redis.conf"]
    private += [up.state / "redis" / "redis.log", up.state / "s3" / "versitygw.log"]
    private += [up.state / "relay" / "relay.log"]
    assert {path.name: stat.S_IMODE(path.stat().st_mode) for path in private} == {path.name: 0o600 for path in private}
    secret = [value for name, value in up.environment().items() if name in ("AUTH", "S3_SECRET_KEY")]
    secret.append(up.environment()["EVENTS_URL"].partition("s3:")[2].partition("@")[0])
    commands = [Path(f"/proc/{service.process.pid}/cmdline").read_text() for service in up.running().values()]
    assert not [command for command in commands for value in secret if value in command]


def test_a_second_start_starts_nothing(up):
    before = up.env_file.read_text()
    assert up.start(FLAGS) == []
    assert up.env_file.read_text() == before


def test_other_flags_for_a_running_localwhisk_are_refused(up):
    with pytest.raises(ServiceError, match=r"localwhisk: runs with flags .*1024.*, got \[\]; stop it first"):
        up.start()


def test_what_died_comes_back_where_it_was(up):
    before = up.environment()
    kill_localwhisk(up)
    assert up.start(FLAGS) == ["localwhisk"]
    assert up.environment() == before


def test_two_states_do_not_meet(up, tmp_path):
    other = Platform(tmp_path)
    other.start()
    assert not {up.environment()[name] for name in ADDRESSES.values()} & set(other.environment().values())
    started = [service.process for service in other.running().values()]
    containers = processes.at_home_in(tmp_path / "localwhisk")
    assert sorted(other.stop()) == sorted(ADDRESSES)
    assert not [process for process in started + containers if process.alive()]
    assert list(up.running()) == list(ADDRESSES)


def test_containers_of_a_killed_localwhisk_are_stopped(tmp_path):
    platform = Platform(tmp_path)
    platform.start()
    while not processes.at_home_in(tmp_path / "localwhisk"):
        time.sleep(0.05)  # the stem cells
    kill_localwhisk(platform)
    containers = processes.at_home_in(tmp_path / "localwhisk")  # more have come until it was killed
    assert len(platform.stop()) == 3 + len(containers)
    assert not [process for process in containers if process.alive()]


def test_a_reused_pid_is_left_alone(tmp_path):
    stranger = processes.start([sys.executable, "-c", "import time; time.sleep(60)"], {}, tmp_path / "log")
    part = {"pid": stranger.pid, "started": stranger.started - 1, "port": 1}
    record = {"parts": {"redis": part}, "flags": [], "redis_password": "x"}
    (tmp_path / "platform.json").write_text(json.dumps(record))
    assert Platform(tmp_path).stop() == []
    assert stranger.alive()
    assert not Process(stranger.pid, stranger.started - 1).alive()
    stranger.stop(patience=5)
    assert not stranger.alive()


def test_a_given_redis_wins(tmp_path, redis, monkeypatch):
    monkeypatch.setenv("REDIS_URI", redis)
    platform = Platform(tmp_path)
    assert platform.start() == ["localwhisk", "relay", "versitygw"]
    assert platform.environment()["REDIS_URI"] == redis
    platform.stop()
    assert services.redis_answers(redis)


def test_a_given_redis_that_does_not_answer_is_refused(tmp_path, redis, monkeypatch):
    address = redis.rpartition("@")[2]
    monkeypatch.setenv("REDIS_URI", f"redis://composer:wrong@{address}")
    with pytest.raises(ServiceError, match=f"^REDIS_URI: no Redis answers at {address} to these credentials$"):
        Platform(tmp_path).start()
    assert not Platform(tmp_path).running()


def test_status_fails_unless_it_is_up(up, tmp_path):
    program = ROOT / "scripts" / "local_platform.py"
    said = {}
    for state in (up.state, tmp_path / "never"):
        command = [sys.executable, program, "status", "--state", state]
        ran = subprocess.run(command, capture_output=True, text=True, check=False)
        said[state] = (ran.returncode, ran.stdout.count(" up "), ran.stdout.count(" down "), ran.stderr)
    assert said == {up.state: (0, 4, 0, ""), tmp_path / "never": (1, 0, 4, "")}


def test_deploying_twice_changes_nothing_and_undeploying_leaves_nothing(up, wsk):
    before = wsk("list")
    deployment.deploy(up.environment(), kinds=False)
    actions = ["dl-pipeline", *(f"dl/{path.parent.name}" for path in ROOT.glob("actions/*/__main__.py"))]
    first = {name: wsk("action", "get", name) for name in actions}
    assert '"image": "openwhisk-dl/dl-tensorflow:0.1.0"' in first["dl/trainer"]
    deployment.deploy(up.environment(), kinds=False)
    again = {name: wsk("action", "get", name) for name in actions}
    assert [without_time(text) for text in again.values()] == [without_time(text) for text in first.values()]
    deployment.undeploy(up.environment())
    assert wsk("list") == before


def test_kinds_take_the_place_of_images(up, wsk):
    deployment.deploy(up.environment(), kinds=True)
    assert '"kind": "python:3.11-tensorflow"' in wsk("action", "get", "dl/trainer")
    assert '"kind": "python:3.11-dl"' in wsk("action", "get", "dl/planner")
    deployment.undeploy(up.environment())


def test_unset_values_are_refused(up):
    environment = up.environment() | {"S3_SECRET_KEY": "", "REDIS_URI": ""}
    with pytest.raises(DeployError, match="^not set: S3_SECRET_KEY, REDIS_URI; set them in the env file"):
        deployment.deploy(environment, kinds=False)


def test_an_openwhisk_that_does_not_answer_is_refused(up):
    environment = up.environment() | {"APIHOST": f"http://127.0.0.1:{services.free_port()}"}
    with pytest.raises(DeployError, match=r"^APIHOST: got .*Connection refused.*, expected an OpenWhisk that lists"):
        deployment.deploy(environment, kinds=False)


@pytest.fixture
def listing(launch, tmp_path):
    """Give the address of a localwhisk that lists the kinds of a manifest."""
    hosts = []

    def start(runtimes):
        hosts.append(launch(tmp_path / f"host-{len(hosts)}", "--runtimes", str(runtimes), "--user-memory", "512"))
        return hosts[-1].client.address

    yield start
    for host in hosts:
        host.stop()


def test_an_openwhisk_without_our_kinds_is_refused_and_told_which(up, listing, write_runtimes, tmp_path, monkeypatch):
    monkeypatch.setattr(deployment, "RUNTIMES", tmp_path / "ours.json")
    own = {"DL_PYTHON_IMAGE": "registry.example/dl-python:1", "DL_TENSORFLOW_IMAGE": "team/dl-tensorflow:2"}
    environment = up.environment() | own | {"APIHOST": listing(write_runtimes(tmp_path / "theirs.json"))}
    with pytest.raises(DeployError, match=r"^kinds: the OpenWhisk lacks python:3.11-dl, python:3.11-tensorflow; put"):
        deployment.deploy(environment, kinds=True)
    environment["APIHOST"] = listing(deployment.RUNTIMES)
    with urllib.request.urlopen(environment["APIHOST"]) as answer:
        assert {kind["kind"]: kind["image"] for kind in json.load(answer)["runtimes"]["python"]} == {
            "python:3.11": "openwhisk/action-python-v3.11:nightly",
            "python:3.11-dl": "registry.example/dl-python:1",
            "python:3.11-tensorflow": "team/dl-tensorflow:2",
        }
    deployment.check_kinds(environment, deployment.MADE_MANIFEST)


def test_files_go_into_the_bucket_and_out_of_it(up, tmp_path):
    def bucket(*words, **changes):
        command = [sys.executable, ROOT / "scripts" / "bucket_files.py", *words]
        environment = {**os.environ, "DL_ENV": str(up.env_file), **changes}
        return subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)

    (tmp_path / "x.npz").write_bytes(b"1234")
    assert bucket("put", "x.npz").stdout == "s3://openwhisk-dl/data/x.npz\n"
    assert bucket("put", "x.npz", "data/y.npz").stdout == "s3://openwhisk-dl/data/y.npz\n"
    assert bucket("list", "data/").stdout.split() == ["4", "data/x.npz", "4", "data/y.npz"]
    assert bucket("get", "s3://openwhisk-dl/data/y.npz").stdout == "y.npz\n"
    assert (tmp_path / "y.npz").read_bytes() == b"1234"
    missing = bucket("get", "data/none")
    assert (missing.returncode, missing.stderr.count("\n")) == (1, 1)
    assert missing.stderr.startswith("scripts/bucket: ")
    (tmp_path / "env").write_text("S3_BUCKET=b\n")
    said = "not set: S3_ENDPOINT, S3_REGION, S3_ACCESS_KEY, S3_SECRET_KEY; set them in the env file that DL_ENV names"
    assert bucket("list", DL_ENV=str(tmp_path / "env")).stderr == f"scripts/bucket: {said}\n"


def kill_localwhisk(platform):
    os.kill(platform.running()["localwhisk"].process.pid, signal.SIGKILL)
    while "localwhisk" in platform.running():
        time.sleep(0.05)


def without_time(text):
    """Return `wsk action get` without the time of its last update, and without the order of what wskdeploy shuffles."""
    entity = json.loads(text[text.index("{") :])
    shuffled = ("parameters", "annotations")
    pairs = {name: {pair["key"]: pair["value"] for pair in entity.get(name, [])} for name in shuffled}
    return {name: value for name, value in {**entity, **pairs}.items() if name != "updated"}
