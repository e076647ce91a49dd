"""What the API of a localwhisk does beyond OpenWhisk's contract: speed, secrecy, a catalog of its own."""

import time
from concurrent.futures import ThreadPoolExecutor

FLAGS = ("--invocations-per-minute", "6000", "--fires-per-minute", "6000", "--user-memory", "2048")


def test_only_the_owner_may_read_the_state(host):
    found = [host.state, *host.state.rglob("*")]
    assert len(found) > 5
    assert [path for path in found if path.stat().st_mode & 0o077] == []


def test_the_catalog_is_read_only(host):
    body = {"exec": {"kind": "python:3.11", "code": "x"}}
    path = "/api/v1/namespaces/whisk.system"
    assert host.client.put(f"{path}/actions/utils/echo?overwrite=true", json=body).status_code == 403
    assert host.client.delete(f"{path}/packages/utils").status_code == 403
    assert [entry["name"] for entry in host.client.get(f"{path}/packages").json()] == ["utils"]
    answer = host.client.post(f"{path}/actions/utils/echo?blocking=true&result=true", json={"é": [1.5, None]})
    assert answer.json() == {"é": [1.5, None]}


def test_many_callers_at_once(host):
    host.action("many", "def main(a): return {'i': a['i']}", logs=0, memory=128)
    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(lambda i: host.invoke("many", {"i": i}).json()["response"]["result"], range(100)))
    assert answers == [{"i": i} for i in range(100)]


def test_a_warm_call_costs_little(host):
    host.action("quick", "def main(a): return {}", logs=0)
    host.invoke("quick")
    times = []
    for _ in range(40):
        begin = time.perf_counter()
        duration = host.invoke("quick").json()["duration"]
        times.append(time.perf_counter() - begin - duration / 1000)
    assert sorted(times)[len(times) // 4] < 0.010
