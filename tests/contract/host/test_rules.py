"""Triggers and rules: what fires what, and what the records say (as WskRuleTests and WskRestRuleTests)."""

import json
import time

import pytest

NS = "/api/v1/namespaces/_"


@pytest.fixture
def ruled(host):
    """A trigger and an action with a rule between them."""
    host.put("triggers/fires", {"parameters": [{"key": "a", "value": 1}, {"key": "b", "value": 1}]})
    host.action("runs", "def main(a): return {k: v for k, v in a.items() if k != '__ow_headers'}")
    return host.put("rules/rule", {"trigger": "/_/fires", "action": "/_/runs"})


def error(response):
    return response.status_code, response.json()["error"]


def fire(host, trigger="fires", body=None):
    return host.client.post(f"{NS}/triggers/{trigger}", json=body or {})


def results(host, fired):
    """What the actions of a fired trigger gave, by rule."""
    lines = [json.loads(line) for line in host.record(fired)["logs"]]
    return {line["rule"]: host.record(line["activationId"])["response"]["result"] for line in lines if line["success"]}


def test_a_new_rule_is_active_and_names_its_ends(host, ruled):
    assert ruled["status"] == "active"
    assert ruled["trigger"] == {"path": host.namespace, "name": "fires"}
    assert ruled["action"] == {"path": host.namespace, "name": "runs"}
    assert host.get("triggers/fires").json()["rules"] == {
        f"{host.namespace}/rule": {"action": {"path": host.namespace, "name": "runs"}, "status": "active"}
    }


def test_a_trigger_runs_its_action_with_both_parameters(host, ruled):
    fired = fire(host, body={"b": 2})
    assert (fired.status_code, set(fired.json())) == (202, {"activationId"})
    assert fired.json()["activationId"] == fired.headers["x-openwhisk-activation-id"]
    assert results(host, fired) == {f"{host.namespace}/rule": {"a": 1, "b": 2}}


def test_the_record_of_a_trigger(host, ruled):
    record = host.record(fire(host, body={"b": 2}))
    assert (record["name"], record["response"]["result"], record["response"]["success"]) == ("fires", {"b": 2}, True)
    assert {"end", "duration", "cause"}.isdisjoint(record)
    line = json.loads(record["logs"][0])
    assert {key: line[key] for key in ("statusCode", "success", "action")} == {
        "statusCode": 0, "success": True, "action": f"{host.namespace}/runs",
    }  # fmt: skip
    assert "cause" not in host.record(line["activationId"])


def test_the_action_is_told_the_headers_of_the_request(host, ruled):
    host.action("runs", "def main(a): return {'x': a['__ow_headers'].get('x-mine')}")
    fired = host.client.post(f"{NS}/triggers/fires", json={}, headers={"X-Mine": "yes"})
    assert results(host, fired) == {f"{host.namespace}/rule": {"x": "yes"}}


def test_the_action_has_the_transaction_of_the_request(host, ruled):
    host.action("runs", "import os\ndef main(a): return {'id': os.environ['__OW_TRANSACTION_ID']}")
    fired = host.client.post(f"{NS}/triggers/fires", json={}, headers={"X-Request-ID": "mine"})
    assert results(host, fired) == {f"{host.namespace}/rule": {"id": "mine"}}


def test_without_a_rule_nothing_happens(host):
    host.put("triggers/lonely", {})
    fired = fire(host, "lonely")
    assert (fired.status_code, fired.content) == (204, b"")


def test_a_rule_is_switched_off_and_on(host, ruled):
    for status, code in (("inactive", 204), ("inactive", 204), ("active", 202)):
        switched = host.client.post(f"{NS}/rules/rule", json={"status": status})
        assert switched.status_code == 200
        assert host.get("rules/rule").json()["status"] == status
        assert fire(host).status_code == code


@pytest.mark.parametrize(("body", "text"), [
    ({"status": "on"}, "requirement failed: on is not a recognized rule state"),
    ({"status": "ACTIVE"}, "requirement failed: ACTIVE is not a recognized rule state"),
    ({"status": " "}, "requirement failed: argument undefined"),
    ({}, "key not found: status"),
    ({"status": 7}, "7 (of class spray.json.JsNumber)"),
    ("active", '"active" (of class spray.json.JsString)'),
])  # fmt: skip
def test_a_rule_is_active_or_inactive(host, ruled, body, text):
    answer = host.client.post(f"{NS}/rules/rule", json=body)
    assert error(answer) == (400, f"The request content was malformed:\n{text}")


def test_a_status_is_needed(host, ruled):
    answer = host.client.post(f"{NS}/rules/rule", data=b"", headers={"Content-Type": "application/json"})
    assert error(answer) == (400, "Request entity expected but not supplied")


def test_an_update_leaves_the_status(host, ruled):
    host.client.post(f"{NS}/rules/rule", json={"status": "inactive"})
    host.action("others", "def main(a): return {'other': True}")
    update = host.put("rules/rule", {"trigger": "/_/fires", "action": "/_/others"})
    assert (update["status"], update["version"]) == ("inactive", "0.0.2")
    host.client.post(f"{NS}/rules/rule", json={"status": "active"})
    assert results(host, fire(host)) == {f"{host.namespace}/rule": {"other": True}}


def test_a_rule_moves_to_another_trigger(host, ruled):
    host.put("triggers/others", {})
    host.put("rules/rule", {"trigger": "/_/others", "action": "/_/runs"})
    assert (fire(host).status_code, fire(host, "others").status_code) == (204, 202)


def test_a_deleted_rule_fires_nothing(host, ruled):
    assert host.client.delete(f"{NS}/rules/rule").json()["status"] == "inactive"
    assert fire(host).status_code == 204
    assert host.get("triggers/fires").json()["rules"] == {}
    assert host.put("triggers/fires", {})["rules"] == {}


def test_several_rules_on_one_trigger(host, ruled):
    host.action("others", "def main(a): return {'other': a['b']}")
    host.put("rules/second", {"trigger": "/_/fires", "action": "/_/others"})
    expected = {f"{host.namespace}/rule": {"a": 1, "b": 5}, f"{host.namespace}/second": {"other": 5}}
    assert results(host, fire(host, body={"b": 5})) == expected


def test_an_inactive_rule_beside_an_active_one_is_recorded(host, ruled):
    host.put("rules/off", {"trigger": "/_/fires", "action": "/_/runs"})
    host.client.post(f"{NS}/rules/off", json={"status": "inactive"})
    lines = [json.loads(line) for line in host.record(fire(host))["logs"]]
    off = next(line for line in lines if line["rule"] == f"{host.namespace}/off")
    text = f"Rule '{host.namespace}/off' is inactive, action '{host.namespace}/runs' was not activated."
    assert (off["statusCode"], off["success"], off["error"]) == (1, False, text)


def test_an_action_that_is_gone_is_recorded(host, ruled):
    host.client.delete(f"{NS}/actions/runs")
    line = json.loads(host.record(fire(host))["logs"][0])
    assert (line["statusCode"], line["success"]) == (1, False)
    assert line["error"] == "The requested resource does not exist."


def test_a_rule_on_an_action_in_a_package_and_through_a_binding(host, ruled):
    host.put("packages/pack", {"parameters": [{"key": "p", "value": 1}]})
    host.action("pack/runs", "def main(a): return {'p': a['p']}")
    host.put(
        "packages/bound", {"binding": {"namespace": "_", "name": "pack"}, "parameters": [{"key": "p", "value": 2}]}
    )
    host.put("rules/rule", {"trigger": "/_/fires", "action": "/_/pack/runs"})
    host.put("rules/through", {"trigger": "/_/fires", "action": "/_/bound/runs"})
    expected = {f"{host.namespace}/rule": {"p": 1}, f"{host.namespace}/through": {"p": 2}}
    assert results(host, fire(host)) == expected


def test_a_rule_on_a_sequence(host, ruled):
    host.action("doubles", "def main(a): return {'n': a['n'] * 2}")
    host.put("actions/quadruples", {"exec": {"kind": "sequence", "components": ["/_/doubles", "/_/doubles"]}})
    host.put("rules/rule", {"trigger": "/_/fires", "action": "/_/quadruples"})
    assert results(host, fire(host, body={"n": 3})) == {f"{host.namespace}/rule": {"n": 12}}


def test_many_events_are_many_activations(host, ruled):
    fired = [fire(host, body={"n": number}) for number in range(10)]
    seen = [results(host, one)[f"{host.namespace}/rule"]["n"] for one in fired]
    assert seen == list(range(10))


@pytest.mark.parametrize(("body", "text"), [
    ({"trigger": "/_/missing", "action": "/_/runs"}, "trigger /{}/missing does not exist"),
    ({"trigger": "/_/fires", "action": "/_/missing"}, "action /{}/missing does not exist"),
    ({"trigger": "/_/fires"}, "rule requires a valid trigger and a valid action"),
    ({"action": "/_/runs"}, "rule requires a valid trigger and a valid action"),
])  # fmt: skip
def test_rules_that_are_refused(host, ruled, body, text):
    answer = host.client.put(f"{NS}/rules/bad", json=body)
    assert error(answer) == (400, text.format(host.namespace))


@pytest.mark.parametrize(("trigger", "action", "status", "text"), [
    ("/_/fires", "/_/no-pack/x", 404, "The requested resource does not exist."),
    ("/_/fires", "/other/x", 403, "The supplied authentication is not authorized to access 'other/x'."),
    ("/other/t", "/other/x", 403, "The supplied authentication is not authorized to access 'other/t, other/x'."),
])  # fmt: skip
def test_a_rule_reaches_what_its_maker_may_use(host, ruled, trigger, action, status, text):
    answer = host.client.put(f"{NS}/rules/bad", json={"trigger": trigger, "action": action})
    assert error(answer) == (status, text)


def test_a_rule_outlives_its_trigger_but_is_inactive(host, ruled):
    host.client.delete(f"{NS}/triggers/fires")
    assert host.get("rules/rule").json()["status"] == "inactive"
    text = "Only rules with existing triggers can be activated"
    assert error(host.client.post(f"{NS}/rules/rule", json={"status": "active"})) == (404, text)
    assert host.client.delete(f"{NS}/rules/rule").status_code == 200


def test_firing_what_is_not_there(host):
    assert error(fire(host, "missing")) == (404, "The requested resource does not exist.")


@pytest.mark.parametrize("feed", ["/_/pack/feed", "pack/feed"])
def test_a_trigger_may_name_its_feed(host, feed):
    made = host.put("triggers/fed", {"annotations": [{"key": "feed", "value": feed}]})
    assert made["annotations"] == [{"key": "feed", "value": feed}]


def test_a_feed_has_a_name(host):
    body = {"annotations": [{"key": "feed", "value": 7}]}
    assert error(host.client.put(f"{NS}/triggers/fed", json=body)) == (400, "Feed name is not valid")


def test_a_change_of_a_trigger_leaves_its_rules(host, ruled):
    host.put("triggers/fires", {"parameters": [{"key": "a", "value": 7}]})
    time.sleep(0.01)
    assert results(host, fire(host)) == {f"{host.namespace}/rule": {"a": 7}}
