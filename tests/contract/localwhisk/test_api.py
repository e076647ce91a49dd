"""What the REST API refuses, throttles and fires, beyond the recorded requests."""

import json
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

NS = "/api/v1/namespaces/_"
FLAGS = ("--invocations-per-minute", "6000", "--fires-per-minute", "6000", "--user-memory", "2048")


def put(host, name, code, annotations=None, kind="python:3.11", **limits):
    notes = [{"key": key, "value": value} for key, value in (annotations or {}).items()]
    return host.put(f"actions/{name}", {"exec": {"kind": kind, "code": code}, "annotations": notes, "limits": limits})


def error(response):
    return response.status_code, response.json()["error"]


def beginning_of_a_minute():
    """The throttle's minutes are the clock's: a count must not straddle two."""
    if time.time() % 60 > 50:
        time.sleep(61 - time.time() % 60)


def test_sixty_invocations_a_minute(start_host):
    host = start_host()
    beginning_of_a_minute()
    answers = [host.invoke("none") for _ in range(62)]
    assert {answer.status_code for answer in answers[:60]} == {404}
    for count in (61, 62):
        text = f"Too many requests in the last minute (count: {count}, allowed: 60)."
        assert error(answers[count - 1]) == (429, text)
    assert host.client.get(f"{NS}/actions").status_code == 200


def test_thirty_at_once_queued_ones_included(start_host):
    host = start_host("--user-memory", "512")
    put(host, "sleeps", "import time\ndef main(a): time.sleep(a['s']); return {}", logs=0)
    beginning_of_a_minute()
    for _ in range(30):
        assert host.invoke("sleeps", {"s": 0.2}, "").status_code == 202
    text = "Too many concurrent requests in flight (count: 30, allowed: 30)."
    assert error(host.invoke("sleeps", {"s": 0})) == (429, text)
    time.sleep(1)
    assert host.invoke("sleeps", {"s": 0}, "").status_code == 202


def test_fires_a_minute(start_host):
    host = start_host("--fires-per-minute", "2")
    host.put("triggers/t", {})
    beginning_of_a_minute()
    answers = [host.client.post(f"{NS}/triggers/t", json={}) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [204, 204, 429]
    assert host.invoke("none").status_code == 404


def test_a_trigger_runs_what_its_rules_say(host):
    put(host, "shows", "def main(a): return a")
    host.put("triggers/fire", {"parameters": [{"key": "a", "value": 1}, {"key": "b", "value": 1}]})
    for name, status in (("on", "active"), ("off", "inactive")):
        host.put(f"rules/{name}", {"trigger": "/_/fire", "action": "/_/shows"})
        host.client.post(f"{NS}/rules/{name}", json={"status": status})
    fired = host.client.post(f"{NS}/triggers/fire", json={"b": 2}).json()["activationId"]
    time.sleep(1)
    record = host.client.get(f"{NS}/activations/{fired}").json()
    lines = sorted((json.loads(line) for line in record["logs"]), key=lambda line: line["rule"])
    inactive = "Rule 'guest/off' is inactive, action 'guest/shows' was not activated."
    base = {"action": "guest/shows"}
    assert lines[0] == {"statusCode": 1, "success": False, "rule": "guest/off", "error": inactive, **base}
    ran = lines[1].pop("activationId")
    assert lines[1] == {"statusCode": 0, "success": True, "rule": "guest/on", **base}
    assert {"end", "duration", "cause"}.isdisjoint(record)
    result = host.client.get(f"{NS}/activations/{ran}/result").json()["result"]
    assert result.pop("__ow_headers")["authorization"].startswith("Basic ")
    assert result == {"a": 1, "b": 2}


def test_the_key_reaches_only_actions_that_ask_for_it(host):
    code = "import os\ndef main(a): return {'key': os.environ.get('__OW_API_KEY')}"
    for wanted, expected in ((False, None), (True, host.key)):
        put(host, "key", code, {"provide-api-key": wanted})
        assert host.invoke("key").json()["response"]["result"] == {"key": expected}


def test_initial_parameters_come_as_environment(host):
    code = "import os\ndef main(a): return {'args': a, 'env': [os.environ.get(k) for k in 'ABCD']}"
    values = {"A": "text", "B": 1, "C": {"x": [True, None]}, "D": None}
    parameters = [{"key": key, "value": value, "init": True} for key, value in values.items()]
    host.put("actions/initial", {"exec": {"kind": "python:3.11", "code": code}, "parameters": parameters})
    result = host.invoke("initial", {"p": 1}).json()["response"]["result"]
    assert result == {"args": {"p": 1}, "env": ["text", "1", '{"x":[true,null]}', ""]}


@pytest.mark.parametrize(("limits", "text"), [
    ({"memory": 64}, "memory size 64 MB below allowed threshold of 128 MB"),
    ({"timeout": 99}, "duration 99 milliseconds below allowed threshold of 100 milliseconds"),
    ({"logs": 11}, "log size 11 MB exceeds allowed threshold of 10 MB"),
    ({"concurrency": 2}, "concurrency 2 exceeds allowed threshold of 1"),
])  # fmt: skip
def test_limits_of_limits(host, limits, text):
    body = {"exec": {"kind": "python:3.11", "code": "x"}, "limits": limits}
    assert error(host.client.put(f"{NS}/actions/a", json=body)) == (400, f"requirement failed: {text}")


def test_code_and_parameters_have_a_size(host):
    body = {"exec": {"kind": "python:3.11", "code": "#" * (48 * 1048576 + 1)}}
    text = "exec larger than allowed: 50331649 > 50331648 bytes."
    assert error(host.client.put(f"{NS}/actions/a", json=body)) == (413, text)
    body = {"exec": {"kind": "python:3.11", "code": "x"}, "parameters": [{"key": "k", "value": "y" * 1048576}]}
    status, text = error(host.client.put(f"{NS}/actions/a", json=body))
    assert (status, text.partition(":")[0]) == (413, "parameters larger than allowed")


def test_a_request_keeps_its_id_and_an_error_names_it(host):
    for given, kept in (("mine", True), ("sid_mine", False)):
        answer = host.client.get(f"{NS}/actions/none", headers={"X-Request-ID": given})
        assert answer.json()["code"] == answer.headers["x-request-id"]
        assert (answer.headers["x-request-id"] == given) is kept
    assert len(host.client.get(f"{NS}/actions").headers["x-request-id"]) == 32


def test_only_the_owner_may_read_the_state(host):
    found = [host.state, *host.state.rglob("*")]
    assert len(found) > 5
    assert [path for path in found if path.stat().st_mode & 0o077] == []


def test_names_belong_to_one_collection(host):
    host.put("triggers/same", {})
    text = "Resource by this name exists but is not in this collection."
    body = {"exec": {"kind": "python:3.11", "code": "x"}}
    assert error(host.client.put(f"{NS}/actions/same?overwrite=true", json=body)) == (409, text)
    assert error(host.client.get(f"{NS}/packages/same")) == (409, text)


def test_an_action_needs_its_package(host):
    body = {"exec": {"kind": "python:3.11", "code": "x"}}
    assert host.client.put(f"{NS}/actions/nowhere/a", json=body).status_code == 404
    host.put("packages/home", {})
    host.put("packages/link", {"binding": {"namespace": "_", "name": "home"}})
    text = "Operation not permitted on package binding."
    assert error(host.client.put(f"{NS}/actions/link/a", json=body)) == (400, text)


def test_the_catalog_is_read_only(host):
    body = {"exec": {"kind": "python:3.11", "code": "x"}}
    path = "/api/v1/namespaces/whisk.system"
    assert host.client.put(f"{path}/actions/utils/echo?overwrite=true", json=body).status_code == 403
    assert host.client.delete(f"{path}/packages/utils").status_code == 403
    assert [entry["name"] for entry in host.client.get(f"{path}/packages").json()] == ["utils"]
    answer = host.client.post(f"{path}/actions/utils/echo?blocking=true&result=true", json={"é": [1.5, None]})
    assert answer.json() == {"é": [1.5, None]}


def test_activations_are_found_by_name_and_time(host):
    host.put("packages/findme", {})
    for name in ("findme/a_b", "findme/axb", "a_b"):
        put(host, name, "def main(a): return {}", logs=0)
        assert host.invoke(name).status_code == 200
    time.sleep(0.1)

    def found(query):
        return [entry["annotations"][0]["value"] for entry in host.client.get(f"{NS}/activations?{query}").json()]

    assert found("name=findme/a_b") == ["guest/findme/a_b"]
    assert found("name=a_b") == ["guest/a_b", "guest/findme/a_b"]
    assert found("name=a_b&limit=1&skip=1") == ["guest/findme/a_b"]
    assert found(f"name=a_b&since={int(time.time() * 1000) + 1000}") == []
    assert host.client.get(f"{NS}/activations?name=a_b&count=true").json() == {"activations": 2}


def test_half_a_surrogate_pair_harms_nobody(host):
    put(host, "echo", "def main(a): return a")
    answer = host.client.post(f"{NS}/actions/echo?blocking=true&result=true", data=b'{"s": "a\\ud800b"}')
    assert (answer.status_code, answer.json()) == (200, {"s": "a?b"})
    put(host, "half", "function main() { return { s: '\\udfff' } }", kind="nodejs:20")
    assert host.invoke("half").json()["response"]["result"] == {"s": "?"}


def test_many_callers_at_once(host):
    put(host, "many", "def main(a): return {'i': a['i']}", logs=0, memory=128)
    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(lambda i: host.invoke("many", {"i": i}).json()["response"]["result"], range(100)))
    assert answers == [{"i": i} for i in range(100)]


def test_a_warm_call_costs_little(host):
    put(host, "quick", "def main(a): return {}", logs=0)
    host.invoke("quick")
    times = []
    for _ in range(40):
        begin = time.perf_counter()
        duration = host.invoke("quick").json()["duration"]
        times.append(time.perf_counter() - begin - duration / 1000)
    assert sorted(times)[len(times) // 4] < 0.010


def test_what_a_web_action_sees_and_may_not_be_told(host):
    code = "def main(a): return {'body': {k: v for k, v in a.items() if k != '__ow_headers'}}"
    put(host, "seen", code, {"web-export": True, "final": True})
    web = "/api/v1/web/guest/default"
    raw = host.anonymous.post(f"{web}/seen.http/some/path?q=1", data=b"\x00\x01", headers={"content-type": "image/png"})
    expected = {"__ow_method": "post", "__ow_path": "/some/path", "q": "1", "__ow_body": "AAE="}
    assert raw.json() == expected
    refused = "Request defines parameters that are not allowed (e.g., reserved properties)."
    assert error(host.anonymous.get(f"{web}/seen?__ow_method=x")) == (400, refused)
    assert host.anonymous.options(f"{web}/seen").headers["access-control-allow-origin"] == "*"
    put(host, "secret", code, {"web-export": True, "require-whisk-auth": "s3"})
    assert host.anonymous.get(f"{web}/secret").status_code == 401
    assert host.anonymous.get(f"{web}/secret", headers={"x-require-whisk-auth": "s3"}).status_code == 200
    put(host, "raw", code, {"web-export": True, "raw-http": True})
    answer = host.anonymous.post(f"{web}/raw?q=1", data=b'{"p":1}', headers={"content-type": "application/json"})
    assert answer.json() == {"__ow_method": "post", "__ow_path": "", "__ow_query": "q=1", "__ow_body": "eyJwIjoxfQ=="}
