"""Conductors and sequences: budgets, nesting, causes, and what a failing step does (OpenWhisk's docs/conductors.md)."""

import time

FLAGS = ("--invocations-per-minute", "6000", "--user-memory", "2048", "--sequence-length", "4")
RUNNER = """
def main(a):
  plan, step, given = a['plan'], a.get('step', 0), a.get('given', {})
  if 'error' in a: return {'params': {'heard': a['error'], 'step': step}}
  if step >= len(plan): return {'params': {'steps': step}}
  return {'action': plan[step], 'params': given, 'state': {'plan': plan, 'step': step + 1, 'given': given}}
"""
TOO_MANY = "Too many actions in the composition."


def put(host, name, code, *annotations, **limits):
    notes = [{"key": key, "value": True} for key in annotations]
    body = {"exec": {"kind": "python:3.11", "code": code}, "annotations": notes, "limits": {"logs": 0, **limits}}
    return host.put(f"actions/{name}", body)


def prepare(host):
    put(host, "run", RUNNER, "conductor")
    put(host, "echo", "def main(a): return a")
    put(host, "fails", "def main(a): raise ValueError('no')")
    put(host, "list", "def main(a): return [1]")
    host.put("actions/seq", {"exec": {"kind": "sequence", "components": ["/_/echo", "/_/echo"]}})
    host.put("actions/wrapped", {"exec": {"kind": "sequence", "components": ["/_/run"]}})


def result(host, action, body):
    answer = host.invoke(action, body, "blocking=true&result=true")
    return answer.status_code, answer.json()


def activation(host, identifier):
    path = f"/api/v1/namespaces/_/activations/{identifier}"
    deadline = time.monotonic() + 5
    while (response := host.client.get(path)).status_code == 404 and time.monotonic() < deadline:
        time.sleep(0.02)
    return response.json()


def notes(record):
    return {entry["key"]: entry["value"] for entry in record["annotations"]}


def test_the_budget_of_components(host):
    prepare(host)
    assert result(host, "run", {"plan": ["echo"] * 4}) == (200, {"steps": 4})
    assert result(host, "run", {"plan": ["echo"] * 5}) == (200, {"heard": TOO_MANY, "step": 5})
    assert result(host, "run", {"plan": ["seq"] * 4}) == (200, {"steps": 4})


def test_the_budget_of_conductor_runs(host):
    prepare(host)
    put(host, "mad", "def main(a): return {'action': 'none', 'state': {'n': a.get('n', 0) + 1}}", "conductor")
    answer = host.invoke("mad")
    record = answer.json()
    assert (answer.status_code, record["response"]["result"]) == (502, {"error": TOO_MANY})
    assert record["response"]["status"] == "application error"
    assert len(record["logs"]) == 9  # twice the components, and one


def test_a_nested_composition_shares_the_budget_and_one_behind_a_sequence_does_not(host):
    prepare(host)
    body = {"plan": ["run"], "given": {"plan": ["echo"] * 3}}
    assert result(host, "run", body) == (200, {"steps": 1})
    # the second one's fourth step is refused, and that was the ninth conductor run of all
    assert result(host, "run", body | {"plan": ["run", "run"]}) == (502, {"error": TOO_MANY})
    assert result(host, "run", body | {"plan": ["wrapped", "wrapped"]}) == (200, {"steps": 2})


def test_state_is_replaced_each_time_and_wins_over_results(host):
    prepare(host)
    code = """
def main(a):
  if a.get('n') == 2: return {'params': a}
  return {'action': 'echo', 'params': {'n': 7, 'p': 1}, 'state': {'n': a.get('n', 0) + 1, f"s{a.get('n', 0)}": 1}}
"""
    put(host, "states", code, "conductor")
    assert result(host, "states", {}) == (200, {"n": 2, "p": 1, "s1": 1})


def test_records_of_a_composition_and_its_parts(host):
    prepare(host)
    put(host, "big", "import time\ndef main(a): time.sleep(0.05); return {}", memory=512)
    answer = host.invoke("run", {"plan": ["big"]})
    primary = activation(host, answer.json()["activationId"])
    assert primary == answer.json()
    parts = [activation(host, identifier) for identifier in primary["logs"]]
    assert [part["name"] for part in parts] == ["run", "big", "run"]
    assert {part["cause"] for part in parts} == {primary["activationId"]}
    assert {notes(part)["causedBy"] for part in parts} == {"sequence"}
    assert [notes(part)["kind"] for part in parts] == ["python:3.11"] * 3
    assert primary["duration"] == sum(part["duration"] for part in parts)
    assert notes(primary)["limits"] == {"concurrency": 1, "logs": 0, "memory": 512, "timeout": 60000}
    assert "cause" not in primary


def test_records_of_nested_ones(host):
    prepare(host)
    outer = host.invoke("run", {"plan": ["wrapped"], "given": {"plan": ["echo"]}}).json()
    sequence = activation(host, outer["logs"][1])
    composition = activation(host, sequence["logs"][0])
    step = activation(host, composition["logs"][1])
    assert [record["name"] for record in (sequence, composition, step)] == ["wrapped", "run", "echo"]
    causes = [record["cause"] for record in (sequence, composition, step)]
    assert causes == [outer["activationId"], sequence["activationId"], composition["activationId"]]
    assert [notes(record)["topmost"] for record in (sequence, composition)] == [False, False]
    assert [notes(record)["causedBy"] for record in (sequence, composition)] == ["sequence"] * 2
    assert notes(composition)["conductor"] is True
    assert "conductor" not in notes(sequence)


def test_a_composition_has_no_record_before_its_end(host):
    prepare(host)
    put(host, "slow", "import time\ndef main(a): time.sleep(1); return {}")
    identifier = host.invoke("run", {"plan": ["slow"]}, "").json()["activationId"]
    time.sleep(0.3)
    assert host.client.get(f"/api/v1/namespaces/_/activations/{identifier}").status_code == 404
    time.sleep(1.5)
    assert activation(host, identifier)["response"]["result"] == {"steps": 1}


def test_a_failing_step_comes_back_as_an_error(host):
    prepare(host)
    assert result(host, "run", {"plan": ["fails"]}) == (200, {"heard": "no", "step": 1})
    missing = "Failed to resolve action with name 'guest/list' during composition."
    assert result(host, "run", {"plan": ["list"]}) == (200, {"heard": missing, "step": 1})
    foreign = "Failed entitlement check for action with name 'other/act' during composition."
    assert result(host, "run", {"plan": ["/other/act"]}) == (200, {"heard": foreign, "step": 1})
    put(host, "dies", "import os\ndef main(a): os._exit(1)")
    text = "The action did not produce a valid response and exited unexpectedly."
    assert result(host, "run", {"plan": ["dies"]}) == (200, {"heard": text, "step": 1})


def test_a_conductor_that_fails_ends_it(host):
    put(host, "bad", "def main(a): raise ValueError('bad')", "conductor")
    assert result(host, "bad", {}) == (502, {"error": "bad"})
    # the invoker keeps nothing of a result but its error
    put(host, "both", "def main(a): return {'error': 1, 'action': 'echo'}", "conductor")
    assert result(host, "both", {}) == (502, {"error": 1})
    put(host, "boxed", "def main(a): return {'params': 7}", "conductor")
    assert result(host, "boxed", {}) == (200, {"value": 7})


def test_a_sequence_hands_on_results_and_stops_at_an_error(host):
    prepare(host)
    put(host, "add", "def main(a): return {'n': a.get('n', 0) + 1}")
    host.put("actions/three", {"exec": {"kind": "sequence", "components": ["/_/add", "/_/add", "/guest/add"]}})
    assert result(host, "three", {"n": 5}) == (200, {"n": 8})
    host.put("actions/stops", {"exec": {"kind": "sequence", "components": ["/_/add", "/_/fails", "/_/add"]}})
    answer = host.invoke("stops")
    record = answer.json()
    assert (answer.status_code, record["response"]["result"], len(record["logs"])) == (502, {"error": "no"}, 2)
    put(host, "sums", "def main(a): return {'sum': sum(a)}")
    put(host, "lists", "def main(a): return [1, 2, 3]")
    host.put("actions/arrays", {"exec": {"kind": "sequence", "components": ["/_/lists", "/_/sums"]}})
    assert result(host, "arrays", {}) == (200, {"sum": 6})


def test_a_sequence_that_grew_too_long_stops_while_it_runs(host):
    prepare(host)
    host.put("actions/inner", {"exec": {"kind": "sequence", "components": ["/_/echo"]}})
    host.put("actions/outer2", {"exec": {"kind": "sequence", "components": ["/_/inner", "/_/inner"]}})
    host.put("actions/inner", {"exec": {"kind": "sequence", "components": ["/_/echo"] * 3}})
    assert result(host, "outer2", {}) == (502, {"error": "Too many actions in the sequence."})


def test_components_are_not_throttled(start_host):
    host = start_host("--invocations-per-minute", "2", "--concurrent", "1")
    prepare(host)
    assert result(host, "run", {"plan": ["echo"] * 6}) == (200, {"steps": 6})
