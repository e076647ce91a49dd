"""Throttles at a host's own limits, on a localwhisk the stock ones: what is counted and refused (as ThrottleTests)."""

import time

import pytest

NS = "/api/v1/namespaces/_"
TOO_MANY = "Too many requests in the last minute (count: {}, allowed: {})."
IN_FLIGHT = "Too many concurrent requests in flight (count: {0}, allowed: {0})."
MOST = 300  # requests that fit into a minute; a host with higher limits is spared


@pytest.fixture
def stock(request, running, tmp_path, launch, write_runtimes):
    """The host of --apihost when a minute of its clock begins, or a fresh localwhisk with OpenWhisk's own limits."""
    if request.config.getoption("--apihost"):
        time.sleep(61 - time.time() % 60)
        yield running
        return
    if time.time() % 60 > 50:  # a count must not straddle two minutes
        time.sleep(61 - time.time() % 60)
    host = launch(tmp_path / "state", "--runtimes", str(write_runtimes(tmp_path / "runtimes.json")))
    yield host
    assert host.stop() == 0


@pytest.fixture
def host(stock):
    """The host, with a client that is told of every refusal."""
    rates = [int(stock.limits[name]) for name in ("actions_per_minute", "triggers_per_minute", "concurrent_actions")]
    if max(rates) > MOST:
        pytest.skip(f"throttles: this host allows {rates}, a case can send {MOST} a minute")
    stock.action("quick", "def main(a): return {}", logs=0)
    stock.action("sleeps", "import time\ndef main(a): time.sleep(a['s']); return {}", logs=0, memory=128)
    paced, stock.client.paced = stock.client.paced, False
    yield stock
    stock.client.paced = paced
    stock.clean()


def error(response):
    return response.status_code, response.json()["error"]


def test_invocations_a_minute_refused_ones_included(host):
    allowed = int(host.limits["actions_per_minute"])
    answers = [host.invoke("missing") for _ in range(allowed + 2)]
    assert {answer.status_code for answer in answers[:allowed]} == {404}
    for count, answer in enumerate(answers[allowed:], start=allowed + 1):
        assert error(answer) == (429, TOO_MANY.format(count, allowed))
    assert host.get("actions").status_code == 200
    host.put("triggers/free", {})
    assert host.client.post(f"{NS}/triggers/free", json={}).status_code == 204


def test_fires_a_minute_apart_from_invocations(host):
    allowed = int(host.limits["triggers_per_minute"])
    host.put("triggers/fires", {})
    answers = [host.client.post(f"{NS}/triggers/fires", json={}) for _ in range(allowed + 1)]
    assert {answer.status_code for answer in answers[:allowed]} == {204}
    assert error(answers[allowed]) == (429, TOO_MANY.format(allowed + 1, allowed))
    assert host.invoke("quick").status_code == 200


def test_many_at_once_queued_ones_included(host):
    allowed = int(host.limits["concurrent_actions"])
    for _ in range(allowed):
        assert host.invoke("sleeps", {"s": 3}, "").status_code == 202
    assert error(host.invoke("sleeps", {"s": 0})) == (429, IN_FLIGHT.format(allowed))
    deadline = time.monotonic() + 30
    while host.invoke("sleeps", {"s": 0}, "").status_code == 429 and time.monotonic() < deadline:
        time.sleep(2)
    assert time.monotonic() < deadline


def test_the_parts_of_a_composition_are_not_counted(host):
    conductor = """
def main(a):
  n = a.get('n', 0)
  return {'params': {'n': n}} if n == 20 else {'action': 'quick', 'state': {'n': n + 1}}
"""
    host.action("counts", conductor, {"conductor": True}, logs=0)
    host.put("actions/ten", {"exec": {"kind": "sequence", "components": ["/_/quick"] * 10}})
    allowed = int(host.limits["actions_per_minute"])
    for _ in range(3):
        assert host.result("counts") == (200, {"n": 20})
        assert host.result("ten") == (200, {})
    answers = [host.invoke("missing") for _ in range(allowed - 6)]
    assert {answer.status_code for answer in answers} == {404}
    assert host.invoke("missing").status_code == 429


def test_a_rule_pays_for_its_action(host):
    host.put("triggers/fires", {})
    host.put("rules/rule", {"trigger": "/_/fires", "action": "/_/quick"})
    allowed = int(host.limits["actions_per_minute"])
    assert {host.invoke("missing").status_code for _ in range(allowed)} == {404}
    fired = host.client.post(f"{NS}/triggers/fires", json={})
    assert fired.status_code == 202
    line = host.record(fired)["logs"][0]
    assert TOO_MANY.format(allowed + 1, allowed) in line


def test_the_limits_are_told(host):
    said = host.get("limits").json()
    assert said["invocationsPerMinute"] == int(host.limits["actions_per_minute"])
    assert said["firesPerMinute"] == int(host.limits["triggers_per_minute"])
    assert said["concurrentInvocations"] == int(host.limits["concurrent_actions"])
