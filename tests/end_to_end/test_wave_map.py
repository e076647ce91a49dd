"""wave-map's join on a real localwhisk and Redis, with small actions in the trainer's and the reducer's place."""

import base64
import json
import secrets
import threading
import time

import pytest
import requests

import services
import zips
from local_platform import read_env

from .conductors import Conductors, wait

TRAINER = """
import time
def main(a):
    open(f"{a['folder']}/began-{a['lane']}", "w").close()
    time.sleep(a["seconds"])
    if a.get("fails"):
        raise ValueError("odd" * a["fails"])
    return {"lane": a["lane"]}
"""
REDUCER = """
import os
def main(a):
    with open("FOLDER/looks", "a") as file:
        file.write(f"{a['run']} {a['wave']} {a['look']}\\n")
    return {"whole": os.path.exists("FOLDER/whole")}
"""
PYTHON, NODE = "python:3.11", "nodejs:20"
RUNTIMES = {  # without stem cells, which would take the processor
    name: [{"kind": kind, "default": True, "image": {"prefix": "whisk", "name": f"action-{name}", "tag": "1"}}]
    for name, kind in (("python", PYTHON), ("nodejs", NODE))
}
LOST = {"failed": "its branch was lost: the conductor ended before it could report"}


class Waves:
    """A localwhisk and a Redis with wave-map and its neighbours."""

    def __init__(self, folder):
        self.folder, self.password = folder, secrets.token_hex(24)
        self.server = services.start_redis(folder / "redis", services.free_port(), self.password)
        (folder / "runtimes.json").write_text(json.dumps({"runtimes": RUNTIMES}))
        self.port = services.free_port()
        self.start_localwhisk()
        properties = read_env(folder / "localwhisk" / "wskprops")
        self.session = requests.Session()
        self.session.trust_env = False
        self.session.auth = tuple(properties["AUTH"].split(":", 1))
        self.address = f"{properties['APIHOST']}/api/v1/namespaces/_"
        zips.build_all(zips=folder / "zips")
        folder.chmod(0o777)  # containers are users of their own where they may be
        self.put("packages/dl", {})
        self.action("dl/trainer", PYTHON, TRAINER)
        self.action("dl/reducer", PYTHON, REDUCER.replace("FOLDER", str(folder)))
        self.deploy(services.redis_uri(self.server.port, self.password))

    def start_localwhisk(self, *flags):
        flags = ["--runtimes", str(self.folder / "runtimes.json"), "--user-memory", "4096", *flags]
        flags += ["--invocations-per-minute", "100000"]
        self.localwhisk = services.start_localwhisk(self.folder / "localwhisk", self.port, flags)

    def restart_redis(self):
        self.server.process.kill()
        self.server = services.start_redis(self.folder / "redis", self.server.port, self.password)

    def close(self):
        self.session.close()
        self.localwhisk.process.stop(20)
        self.server.process.stop(5)

    def put(self, path, body):
        answer = self.session.put(f"{self.address}/{path}?overwrite=true", json=body)
        assert answer.status_code == 200, answer.text

    def action(self, name, kind, code, annotations=(), parameters=()):
        execution = {"kind": kind, "code": code, "binary": kind == NODE}
        limits = {"timeout": 60000, "memory": 128 if kind == NODE else 256, "logs": 0}
        notes = [{"key": name, "value": True} for name in annotations]
        given = [{"key": name, "value": value} for name, value in parameters]
        self.put(f"actions/{name}", {"exec": execution, "limits": limits, "annotations": notes, "parameters": given})

    def deploy(self, uri):
        """Deploy the conductor with a Redis."""
        code = base64.b64encode((self.folder / "zips" / "wave-map.zip").read_bytes()).decode()
        parameters = [("$composer", {"redis": {"uri": uri}})]
        self.action("wave-map", NODE, code, ("conductor", "provide-api-key"), parameters)

    def run(self, *lanes, **options):
        """Run a wave of lanes (what each is given); return what it returned and the seconds that it took."""
        return self.start(*lanes, **options)()

    def call(self, lanes, within=60.0, wave=7):
        """Invoke wave-map and wait for its result."""
        began = time.time()
        common = {"run": "r", "wave": wave, "deadline": began + within, "folder": str(self.folder), "seconds": 0}
        value = [{**common, "lane": lane, **given} for lane, given in enumerate(lanes)]
        body = {"value": value}
        answer = self.session.post(f"{self.address}/actions/wave-map?blocking=true&result=true", json=body)
        return answer.json(), time.time() - began

    def clear(self):
        """Remove what the actions in the wave before left."""
        for path in [self.folder / "looks", self.folder / "whole", *self.folder.glob("began-*")]:
            path.unlink(missing_ok=True)

    def start(self, *lanes, **options):
        """Run a wave beside the test; return a function that waits for what `run` returns."""
        self.clear()
        found = []
        thread = threading.Thread(target=lambda: found.append(self.call(lanes, **options)))
        thread.start()

        def finish():
            thread.join(120)
            return found[0]

        return finish

    def looks(self):
        path = self.folder / "looks"
        return path.read_text().splitlines() if path.exists() else []


@pytest.fixture(scope="module")
def waves(tmp_path_factory):
    running = Waves(tmp_path_factory.mktemp("waves"))
    yield running
    running.close()


def began(waves, lanes):
    """Tell whether so many trainers are at work: their wave was forked, and its join waits."""
    return len(list(waves.folder.glob("began-*"))) == lanes


def lose_a_branch(waves, lanes):
    wait(lambda: began(waves, lanes))
    Conductors(waves.folder / "localwhisk", waves.server).lose_a_branch()


def test_a_wave_returns_its_items_in_order_and_looks_at_nothing(waves):
    items, took = waves.run({"seconds": 0.3}, {"fails": 1}, {})
    assert items == {"value": [{"lane": 0}, {"failed": "odd"}, {"lane": 2}]}
    assert waves.looks() == [] or took > 4  # a spell


def test_errors_as_long_as_a_result_are_cut(waves):
    items, _ = waves.run({"fails": 300_000}, {"fails": 300_000}, {})
    assert items == {"value": [{"failed": ("odd" * 667)[:2000]}] * 2 + [{"lane": 2}]}


def test_a_wave_that_is_longer_than_its_spells_is_joined_all_the_same(waves):
    items, took = waves.run({"seconds": 9}, {}, wave=11)
    assert items == {"value": [{"lane": 0}, {"lane": 1}]}
    assert 9 < took < 12
    assert waves.looks() == ["r 11 True"] * 2


def test_a_lost_branch_costs_five_seconds_where_the_store_has_all(waves):
    finish = waves.start({"seconds": 1.5}, {"seconds": 1.5}, within=100)
    wait(lambda: began(waves, 2))
    (waves.folder / "whole").touch()
    lose_a_branch(waves, 2)
    items, took = finish()
    assert sorted(map(json.dumps, items["value"])).count(json.dumps(LOST)) == 1
    assert took < 1.5 + 7


def test_a_lost_branch_without_a_state_costs_no_more_than_the_deadline(waves):
    finish = waves.start({"seconds": 1}, {"seconds": 1}, {"fails": True}, within=9)
    lose_a_branch(waves, 3)
    items, took = finish()
    assert len(items["value"]) == 3 and LOST in items["value"]
    assert 9 < took < 9 + 5


def test_the_warm_up_has_no_number(waves):
    finish = waves.start({"seconds": 1}, {"seconds": 1}, within=7, wave=None)
    lose_a_branch(waves, 2)
    assert LOST in finish()[0]["value"]
    assert waves.looks() == ["r None True"]


def test_a_redis_that_was_restarted_costs_a_warm_conductor_nothing(waves):
    whole = {"value": [{"lane": 0}, {"lane": 1}]}
    assert waves.run({}, {})[0] == whole
    waves.restart_redis()
    items, took = waves.run({}, {})
    assert items == whole and took < 3


def test_a_redis_that_comes_back_in_time_delays_a_wave(waves):
    waves.server.process.kill()
    finish = waves.start({}, {})
    time.sleep(1.5)  # the conductor finds nobody there
    waves.restart_redis()
    assert finish()[0] == {"value": [{"lane": 0}, {"lane": 1}]}


def test_a_wave_whose_redis_was_restarted_says_so_and_the_next_one_is_whole(waves):
    finish = waves.start({"seconds": 1}, {"seconds": 1})
    wait(lambda: began(waves, 2))
    waves.restart_redis()
    items, took = finish()
    assert items["error"].startswith("Internal error: Redis connection lost") and took < 5
    assert waves.run({}, {})[0] == {"value": [{"lane": 0}, {"lane": 1}]}


@pytest.mark.parametrize(
    ("password", "sentence"),
    [
        ("wrong", "WRONGPASS invalid username-password pair or user is disabled."),
        ("", "Ready check failed: NOAUTH Authentication required."),
    ],
)
def test_a_wrong_password_is_told_at_once(waves, password, sentence):
    user = f"composer:{password}@" if password else ""
    try:
        waves.deploy(f"redis://{user}{services.HOST}:{waves.server.port}")
        items, took = waves.run({}, {})
        assert items == {"error": f"The wave could not begin: Redis: {sentence}"} and took < 5
        assert not list(waves.folder.glob("began-*"))
    finally:
        waves.deploy(services.redis_uri(waves.server.port, waves.password))


def test_why_a_fork_failed_is_told(waves):
    waves.localwhisk.process.stop(20)
    waves.start_localwhisk("--concurrent", "1")  # which the fork's own conductor takes
    items, _ = waves.run({"seconds": 1}, {"seconds": 1}, {"seconds": 1})
    assert items["error"].endswith(
        "(see log for details): Too many concurrent requests in flight (count: 1, allowed: 1)."
    )
