"""Sequences: results handed on, errors, length, what a record says (as OpenWhisk's WskSequenceTests)."""

import time

import pytest

NS = "/api/v1/namespaces/_"
ADD = "def main(a): return {'n': a.get('n', 0) + a.get('by', 1)}"


@pytest.fixture
def parts(host):
    """Actions for sequences, and a function that makes one."""
    host.action("add", ADD, logs=0)
    host.action("echo", "def main(a): return a", logs=0)
    host.action("fails", "def main(a): raise ValueError('no')", logs=0)
    host.action("dies", "import os\ndef main(a): os._exit(1)", logs=0)

    def make(name, *components, **further):
        names = [part if part.startswith("/") else f"/_/{part}" for part in components]
        return host.put(f"actions/{name}", {"exec": {"kind": "sequence", "components": names}, **further})

    return make


def error(response):
    return response.status_code, response.json()["error"]


def test_a_result_is_the_next_ones_input(host, parts):
    made = parts("three", "add", "add", f"/{host.namespace}/add")
    assert made["exec"]["components"] == [f"/{host.namespace}/add"] * 3
    assert host.result("three", {"n": 5}) == (200, {"n": 8})


def test_the_payload_goes_to_the_first_alone(host, parts):
    parts("two", "add", "add")
    assert host.result("two", {"n": 1, "by": 10}) == (200, {"n": 12})


def test_sequences_in_sequences(host, parts):
    parts("inner", "add", "add")
    parts("outer", "inner", "add", "inner")
    response = host.invoke("outer", {"n": 0})
    assert response.json()["response"]["result"] == {"n": 5}
    outer = host.record(response)
    names = [host.record(part)["name"] for part in outer["logs"]]
    assert names == ["inner", "add", "inner"]
    inner = host.record(outer["logs"][0])
    assert [host.record(part)["cause"] for part in inner["logs"]] == [inner["activationId"]] * 2
    assert inner["cause"] == outer["activationId"]


@pytest.mark.parametrize(("second", "status", "texts"), [
    ("fails", "application error", ["no"]),
    ("dies", "action developer error",
     ["The action did not produce a valid response and exited unexpectedly.", "command exited"]),
])  # fmt: skip
def test_an_error_ends_it(host, parts, second, status, texts):
    parts("stops", "add", second, "add")
    response = host.invoke("stops")
    record = response.json()
    assert (response.status_code, record["response"]["status"]) == (502, status)
    assert (record["response"]["result"]["error"] in texts, len(record["logs"])) == (True, 2), record


def test_an_error_field_ends_it_too(host, parts):
    host.action("says", "def main(a): return {'error': 'said', 'more': 1}")
    parts("stops", "says", "add")
    assert host.result("stops") == (502, {"error": "said"})


def test_arrays_pass_through(host, parts):
    host.action("lists", "def main(a): return [1, 2, 3]")
    host.action("sums", "def main(a): return {'sum': sum(a)}")
    parts("arrays", "lists", "sums")
    assert host.result("arrays") == (200, {"sum": 6})


def test_parameters_of_packages_reach_the_parts(host, parts):
    host.put("packages/tens", {"parameters": [{"key": "by", "value": 10}]})
    host.action("tens/add", ADD)
    host.put("packages/hundreds", {"binding": {"namespace": "_", "name": "tens"},
                                   "parameters": [{"key": "by", "value": 100}]})  # fmt: skip
    parts("both", "tens/add", "hundreds/add", "add")
    assert host.result("both") == (200, {"n": 111})


def test_a_sequence_has_no_parameters_of_its_own(host, parts):
    made = parts("plain", "add", parameters=[{"key": "by", "value": 5}])
    assert [entry["key"] for entry in made["parameters"]] == ["_actions"]


def test_the_record_of_a_sequence(host, parts):
    parts("two", "add", "echo")
    record = host.record(host.invoke("two"))
    notes = {entry["key"]: entry["value"] for entry in record["annotations"]}
    parts_of_it = [host.record(part) for part in record["logs"]]
    assert (notes["kind"], notes["topmost"], notes["path"]) == ("sequence", True, f"{host.namespace}/two")
    assert record["duration"] == sum(part["duration"] for part in parts_of_it)
    assert [part["cause"] for part in parts_of_it] == [record["activationId"]] * 2
    assert all({"key": "causedBy", "value": "sequence"} in part["annotations"] for part in parts_of_it)
    assert "cause" not in record


@pytest.mark.parametrize(("components", "text"), [
    ([], "No component specified for the sequence."),
    (["/_/missing"], "Sequence component does not exist."),
    (["/_/itself"], "Sequence may not refer to itself."),
])  # fmt: skip
def test_components_that_are_refused(host, parts, components, text):
    parts("itself", "add")
    body = {"exec": {"kind": "sequence", "components": components}}
    assert error(host.client.put(f"{NS}/actions/itself?overwrite=true", json=body)) == (400, text)


@pytest.mark.parametrize(("components", "status", "text"), [
    (["/_/no-pack/x"], 404, "The requested resource does not exist."),
    (["/_/add", "/other/b", "/other/a"], 403,
     "The supplied authentication is not authorized to access 'other/a, other/b'."),
    (["/other/pack/a"], 403, "The supplied authentication is not authorized to access 'other/pack/a'."),
    (["/_/add/x"], 409, "Resource by this name exists but is not in this collection."),
])  # fmt: skip
def test_components_that_are_out_of_reach(host, parts, components, status, text):
    body = {"exec": {"kind": "sequence", "components": components}}
    assert error(host.client.put(f"{NS}/actions/reaches", json=body)) == (status, text)


def test_a_package_that_is_missed_while_it_is_invoked(host, parts):
    host.put("packages/tens", {})
    host.action("tens/add", ADD)
    parts("reaches", "add", "tens/add")
    host.client.delete(f"{NS}/packages/tens?force=true")
    assert error(host.invoke("reaches")) == (404, "The requested resource does not exist.")


def test_a_circle_through_another_sequence_is_refused(host, parts):
    parts("one", "add")
    parts("other", "one")
    body = {"exec": {"kind": "sequence", "components": ["/_/other"]}}
    answer = host.client.put(f"{NS}/actions/one?overwrite=true", json=body)
    assert error(answer) == (400, "Sequence may not refer to itself.")


def test_the_greatest_length(host, parts):
    longest = host.limits["sequence_length"]
    parts("longest", *["add"] * longest)
    assert host.result("longest") == (200, {"n": longest})
    body = {"exec": {"kind": "sequence", "components": ["/_/add"] * (longest + 1)}}
    assert error(host.client.put(f"{NS}/actions/longer", json=body)) == (400, "Too many actions in the sequence.")


def test_the_greatest_length_counts_inner_ones(host, parts):
    half = host.limits["sequence_length"] // 2 + 1
    parts("half", *["echo"] * half)
    body = {"exec": {"kind": "sequence", "components": ["/_/half", "/_/half"]}}
    assert error(host.client.put(f"{NS}/actions/whole", json=body)) == (400, "Too many actions in the sequence.")


def test_one_that_grew_too_long_stops_while_it_runs(host, parts):
    parts("inner", "echo")
    parts("outer", "inner", "inner")
    parts("inner", *["echo"] * (host.limits["sequence_length"] // 2 + 1))
    assert host.result("outer") == (502, {"error": "Too many actions in the sequence."})


def test_a_part_that_was_deleted_is_missed_while_it_runs(host, parts):
    parts("two", "add", "echo")
    host.client.delete(f"{NS}/actions/echo")
    assert host.result("two") == (502, {"error": "Sequence component does not exist."})


def test_a_part_has_its_own_time_limit(host, parts):
    host.action(
        "slow", "import time\ndef main(a): time.sleep(0 if a.get('warm') else 60); return {}", logs=0, timeout=500
    )
    host.warm("slow")
    parts("late", "add", "slow", "add")
    record = host.invoke("late").json()
    text = "The action exceeded its time limits of 500 milliseconds."
    assert (record["response"]["result"], len(record["logs"])) == ({"error": text}, 2)


def test_a_sequence_that_is_not_waited_for(host, parts):
    host.action("naps", "import time\ndef main(a): time.sleep(0.5); return a")
    parts("two", "naps", "add")
    response = host.invoke("two", {"n": 1}, "")
    assert response.status_code == 202
    time.sleep(0.2)
    assert host.record(response)["response"]["result"] == {"n": 2}
