"""kill -9 under load: what was acknowledged is there afterwards, and nothing of what ran lives on."""

import contextlib
import random
import signal
import threading
import time
from pathlib import Path

import requests

KILLS = 20
FLAGS = ("--invocations-per-minute", "1000000", "--fires-per-minute", "1000000", "--user-memory", "2048")


class Load:
    """Callers that note what they were promised, until the host is gone."""

    def __init__(self, host, number):
        self.host = host
        self.number = number
        self.entities, self.results = {}, {}
        self.threads = [threading.Thread(target=self._call, args=(lane,)) for lane in range(4)]
        for thread in self.threads:
            thread.start()

    def _call(self, lane):
        host = self.host
        with contextlib.suppress(requests.RequestException), host.client_as(host.key) as client:
            for count in range(10_000):
                name, value = f"triggers/t-{self.number}-{lane}-{count}", [{"key": "n", "value": count}]
                if client.put(f"/api/v1/namespaces/_/{name}", json={"parameters": value}).ok:
                    self.entities[name] = value
                action = ("quiet", "talks", "both", "conducts")[(lane + count) % 4]
                path = f"/api/v1/namespaces/_/actions/{action}"
                if count % 8 == 1:
                    client.post(path, json={"n": count, "sleep": 0.3})
                answer = client.post(f"{path}?blocking=true", json={"n": count})
                if answer.ok:
                    self.results[answer.json()["activationId"]] = answer.json()["response"]

    def go_on_until(self, count):
        """Wait for this many results."""
        deadline = time.monotonic() + 20
        while len(self.results) < count and time.monotonic() < deadline:
            time.sleep(0.01)

    def wait(self):
        for thread in self.threads:
            thread.join()


def prepare(host):
    sleeps = "import time\ndef main(a):\n  print(a)\n  time.sleep(a.get('sleep', 0))\n  return {'n': a['n']}"
    host.action("quiet", sleeps, logs=0, memory=128)
    host.action("talks", sleeps, memory=128)
    host.put("actions/both", {"exec": {"kind": "sequence", "components": ["/_/quiet", "/_/talks"]}})
    conducts = (
        "def main(a): return {'params': {'n': 1}} if 's' in a else {'action': 'quiet', 'params': a, 'state': {'s': 1}}"
    )
    host.action("conducts", conducts, {"conductor": True}, logs=0, memory=128)
    host.put("rules/rule", {"trigger": host.put("triggers/first", {}) and "/_/first", "action": "/_/quiet"})


def at_home_in(folder):
    """Processes that a localwhisk of this state started, by the environment they have."""
    found = []
    for path in Path("/proc").glob("[0-9]*/environ"):
        with contextlib.suppress(OSError):
            if f"HOME={folder}/containers/".encode() in path.read_bytes():
                found.append(int(path.parent.name))
    return found


def check(host, entities, results):
    """Everything that was promised, in few requests."""
    for name, value in entities.items():
        assert host.get(name).json()["parameters"] == value
    for activation, response in results.items():
        stored = host.get(f"activations/{activation}")
        assert stored.status_code == 200, (activation, stored.text)
        assert stored.json()["response"] == response
    assert host.get("rules/rule").json()["status"] == "active"
    assert host.get("actions/both").json()["exec"]["kind"] == "sequence"


def test_what_was_promised_survives_kills_at_random_moments(start_host):
    dice = random.Random(20)
    entities, results = {}, {}
    host = start_host(*FLAGS)
    prepare(host)
    for number in range(KILLS):
        load = Load(host, number)
        if number % 4:  # else it may be killed before anything was promised
            load.go_on_until(3)
        time.sleep(dice.uniform(0.0, 0.7))
        host.stop(signal.SIGKILL)
        load.wait()
        host = start_host(*FLAGS)
        assert at_home_in(host.state) == []
        check(host, load.entities, load.results)
        entities |= load.entities
        results |= load.results
    check(host, entities, results)
    assert len(entities) > KILLS
    assert len(results) > KILLS
    listed = host.get("activations?count=true").json()["activations"]
    assert listed >= len(results)
    assert host.stop() == 0
    assert at_home_in(host.state) == []
