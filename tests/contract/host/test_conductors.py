"""Compositions: steps, budgets, nesting, records, failing steps (as WskConductorTests and ConductorsApiTests)."""

import time

import pytest

NS = "/api/v1/namespaces/_"
RUNNER = """
def main(a):
  plan, step, given = a['plan'], a.get('step', 0), a.get('given', {})
  if 'error' in a: return {'params': {'heard': a['error'], 'step': step}}
  if step >= len(plan): return {'params': {'steps': step, **({'inner': a['heard']} if 'heard' in a else {})}}
  return {'action': plan[step], 'params': given, 'state': {'plan': plan, 'step': step + 1, 'given': given}}
"""
TOO_MANY = "Too many actions in the composition."
ENDS = {"dies": ("command exited",)}  # as the stock Python image's proxy says it, which outlives its action
EXITED = "The action did not produce a valid response and exited unexpectedly."


def put(host, name, code, *notes, **limits):
    return host.action(name, code, dict.fromkeys(notes, True), **({"logs": 0} | limits))


@pytest.fixture
def budget(host):
    """How many components a composition may have, on a host with the actions that the cases name."""
    put(host, "run", RUNNER, "conductor")
    put(host, "echo", "def main(a): return a")
    put(host, "fails", "def main(a): raise ValueError('no')")
    put(host, "list", "def main(a): return [1]")
    put(host, "dies", "import os\ndef main(a): os._exit(1)")
    host.put("actions/seq", {"exec": {"kind": "sequence", "components": ["/_/echo", "/_/echo"]}})
    host.put("actions/wrapped", {"exec": {"kind": "sequence", "components": ["/_/run"]}})
    return host.limits["sequence_length"]


def notes(record):
    return {entry["key"]: entry["value"] for entry in record["annotations"]}


@pytest.mark.parametrize("steps", [0, 1, 2])
def test_each_step_costs_a_component_and_a_conductor_run(host, budget, steps):
    response = host.invoke("run", {"plan": ["echo"] * steps})
    record = response.json()
    assert (record["response"]["result"], len(record["logs"])) == ({"steps": steps}, 2 * steps + 1)


def test_the_greatest_number_of_components(host, budget):
    response = host.invoke("run", {"plan": ["echo"] * budget}).json()
    assert (response["response"]["result"], len(response["logs"])) == ({"steps": budget}, 2 * budget + 1)


def test_one_component_more_is_refused_and_the_conductor_told(host, budget):
    assert host.result("run", {"plan": ["echo"] * (budget + 1)}) == (200, {"heard": TOO_MANY, "step": budget + 1})


def test_a_sequence_costs_one_component(host, budget):
    steps = min(budget, 10)
    record = host.invoke("run", {"plan": ["seq"] * steps}).json()
    assert (record["response"]["result"], len(record["logs"])) == ({"steps": steps}, 2 * steps + 1)


def test_the_greatest_number_of_conductor_runs(host, budget):
    put(host, "mad", "def main(a): return {'action': 'none', 'state': {'n': a.get('n', 0) + 1}}", "conductor")
    response = host.invoke("mad")
    record = response.json()
    assert (response.status_code, record["response"]["result"]) == (502, {"error": TOO_MANY})
    assert record["response"]["status"] == "application error"
    assert len(record["logs"]) == 2 * budget + 1


def test_a_nested_composition_costs_no_component(host, budget):
    assert host.result("run", {"plan": ["run"], "given": {"plan": ["echo"] * budget}}) == (200, {"steps": 1})


def test_nested_compositions_share_the_budget(host, budget):
    body = {"plan": ["run", "run"], "given": {"plan": ["echo"] * (budget // 2 + 1)}}
    assert host.result("run", body) == (200, {"steps": 2, "inner": TOO_MANY})


def test_a_composition_behind_a_sequence_has_a_budget_of_its_own(host, budget):
    body = {"plan": ["wrapped", "wrapped"], "given": {"plan": ["echo"] * (budget // 2 + 1)}}
    assert host.result("run", body) == (200, {"steps": 2})


def test_one_that_names_itself_ends(host, budget):
    put(host, "self", "def main(a): return {'action': 'self'}", "conductor")
    assert host.result("self") == (502, {"error": TOO_MANY})


@pytest.mark.parametrize(("returned", "expected"), [
    ("{'params': {'x': 1}}", {"x": 1}), ("{'params': 7}", {"value": 7}), ("{'x': 1}", {"x": 1}),
    ("{'params': [1]}", {"value": [1]}), ("{'params': {}}", {}), ("{'state': {'x': 1}}", {"state": {"x": 1}}),
])  # fmt: skip
def test_what_a_composition_results_in(host, returned, expected):
    put(host, "ends", f"def main(a): return {returned}", "conductor")
    assert host.result("ends") == (200, expected)


@pytest.mark.parametrize(("code", "expected"), [
    ("def main(a): raise ValueError('bad')", "bad"), ("def main(a): return {'error': 1}", 1),
])  # fmt: skip
def test_a_conductor_that_fails_ends_it(host, code, expected):
    put(host, "bad", code, "conductor")
    response = host.invoke("bad")
    assert (response.status_code, response.json()["response"]["result"]) == (502, {"error": expected})
    assert response.json()["response"]["status"] == "application error"


def test_state_that_is_no_object_is_boxed(host, budget):
    code = "def main(a): return {'params': a} if 'state' in a else {'action': 'echo', 'state': 7}"
    put(host, "boxes", code, "conductor")
    assert host.result("boxes") == (200, {"state": 7})


def test_state_is_replaced_each_time_and_wins_over_results(host, budget):
    code = """
def main(a):
  if a.get('n') == 2: return {'params': a}
  return {'action': 'echo', 'params': {'n': 7, 'p': 1}, 'state': {'n': a.get('n', 0) + 1, f"s{a.get('n', 0)}": 1}}
"""
    put(host, "states", code, "conductor")
    assert host.result("states") == (200, {"n": 2, "p": 1, "s1": 1})


def test_parameters_of_conductor_and_component(host, budget):
    code = "def main(a): return {'action': 'pack/shows', 'params': {'p': 2}} if 'own' in a and 'seen' not in a else a"
    host.put("packages/pack", {"parameters": [{"key": "p", "value": 1}, {"key": "q", "value": 1}]})
    host.action("pack/shows", "def main(a): return {'seen': a}")
    parameters = [{"key": "own", "value": "mine"}]
    body = {"exec": {"kind": host.kinds["python"], "code": code}, "parameters": parameters}
    host.put("actions/asks", body | {"annotations": [{"key": "conductor", "value": True}]})
    assert host.result("asks") == (200, {"own": "mine", "seen": {"p": 2, "q": 1}})


@pytest.mark.parametrize("annotation", [False, 0, "", None])
def test_a_conductor_is_one_whose_annotation_is_true(host, annotation):
    host.action("plain", "def main(a): return {'action': 'none'}", {"conductor": annotation})
    assert host.result("plain") == (200, {"action": "none"})


@pytest.mark.parametrize(("step", "heard"), [
    ("fails", "no"),
    ("dies", EXITED),
    ("missing", "Failed to resolve action with name '{}/missing' during composition."),
    ("list", "Failed to resolve action with name '{}/list' during composition."),
    ("pack/missing", "Failed to resolve action with name '{}/pack/missing' during composition."),
    ("no-pack/missing", "Failed entitlement check for action with name '{}/no-pack/missing' during composition."),
    ("lost/missing", "Failed entitlement check for action with name '{}/lost/missing' during composition."),
    ("/other/act", "Failed entitlement check for action with name 'other/act' during composition."),
    (" ", "Failed to parse action name from json value \" \" during composition."),
    (7, "Failed to parse action name from json value 7 during composition."),
])  # fmt: skip
def test_a_step_that_fails_comes_back_as_an_error(host, budget, step, heard):
    host.put("packages/pack", {})
    host.put("packages/gone", {})
    host.put("packages/lost", {"binding": {"namespace": "_", "name": "gone"}})
    host.client.delete(f"{NS}/packages/gone")
    status, result = host.result("run", {"plan": [step]})
    assert (status, result["step"]) == (200, 1)
    assert result["heard"] in (heard.format(host.namespace), *ENDS.get(step, ()))


@pytest.mark.parametrize("name", ["echo", "/_/echo", "/{}/echo", "pack/echo", "/_/pack/echo", "{}/pack/echo"])
def test_names_of_steps(host, budget, name):
    host.put("packages/pack", {})
    host.action("pack/echo", "def main(a): return a")
    assert host.result("run", {"plan": [name.format(host.namespace)]}) == (200, {"steps": 1})


def test_records_of_a_composition_and_its_parts(host, budget):
    put(host, "big", "import time\ndef main(a): time.sleep(0.05); return {}", memory=512)
    response = host.invoke("run", {"plan": ["big"]})
    primary = host.record(response)
    assert primary == response.json()
    parts = [host.record(identifier) for identifier in primary["logs"]]
    assert [part["name"] for part in parts] == ["run", "big", "run"]
    assert {part["cause"] for part in parts} == {primary["activationId"]}
    assert {notes(part)["causedBy"] for part in parts} == {"sequence"}
    assert [notes(part)["kind"] for part in parts] == [host.kinds["python"]] * 3
    assert primary["duration"] == sum(part["duration"] for part in parts)
    assert notes(primary)["limits"] == {"concurrency": 1, "logs": 0, "memory": 512, "timeout": 60000}
    assert (notes(primary)["conductor"], notes(primary)["topmost"], notes(primary)["kind"]) == (True, True, "sequence")
    assert "cause" not in primary


def test_records_of_nested_ones(host, budget):
    outer = host.invoke("run", {"plan": ["wrapped"], "given": {"plan": ["echo"]}}).json()
    sequence = host.record(outer["logs"][1])
    composition = host.record(sequence["logs"][0])
    step = host.record(composition["logs"][1])
    assert [record["name"] for record in (sequence, composition, step)] == ["wrapped", "run", "echo"]
    causes = [record["cause"] for record in (sequence, composition, step)]
    assert causes == [outer["activationId"], sequence["activationId"], composition["activationId"]]
    assert [notes(record)["topmost"] for record in (sequence, composition)] == [False, False]
    assert [notes(record)["causedBy"] for record in (sequence, composition)] == ["sequence"] * 2
    assert notes(composition)["conductor"] is True
    assert "conductor" not in notes(sequence)


def test_a_composition_has_no_record_before_its_end(host, budget):
    put(host, "slow", "import time\ndef main(a): time.sleep(1); return {}")
    identifier = host.invoke("run", {"plan": ["slow"]}, "").json()["activationId"]
    time.sleep(0.3)
    assert host.get(f"activations/{identifier}").status_code == 404
    assert host.record(identifier)["response"]["result"] == {"steps": 1}


def test_one_through_a_binding_says_so(host, budget):
    host.put("packages/pack", {})
    put(host, "pack/run", RUNNER, "conductor")
    host.put("packages/bound", {"binding": {"namespace": "_", "name": "pack"}})
    record = host.record(host.invoke("bound/run", {"plan": []}))
    assert notes(record)["binding"] == f"{host.namespace}/bound"
    assert notes(host.record(record["logs"][0]))["binding"] == f"{host.namespace}/bound"
