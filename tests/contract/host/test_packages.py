"""Packages and bindings: what they hold, hand down, share and refuse (as OpenWhisk's WskPackageTests)."""

import pytest

NS = "/api/v1/namespaces/_"
SHOW = "def main(a): return a"


@pytest.fixture
def pack(host):
    """A package with an action and a feed, and a binding to it."""
    host.put("packages/pack", {"parameters": [{"key": "p", "value": 1}, {"key": "q", "value": 1}]})
    host.action("pack/show", SHOW)
    host.action("pack/feed", SHOW, {"feed": True})
    binding = {"namespace": "_", "name": "pack"}
    host.put("packages/bound", {"binding": binding, "parameters": [{"key": "q", "value": 2}, {"key": "r", "value": 2}]})


def error(response):
    return response.status_code, response.json()["error"]


def parameters(response):
    return {entry["key"]: entry["value"] for entry in response.json()["parameters"]}


def test_a_package_shows_its_actions_and_feeds(host, pack):
    package = host.get("packages/pack").json()
    assert [action["name"] for action in package["actions"]] == ["show"]
    assert [feed["name"] for feed in package["feeds"]] == ["feed"]
    assert package["binding"] == {}


def test_a_package_may_be_updated_without_losing_its_actions(host, pack):
    host.put("packages/pack", {"annotations": [{"key": "a", "value": 1}]})
    assert [action["name"] for action in host.get("packages/pack").json()["actions"]] == ["show"]
    assert host.result("pack/show") == (200, {"p": 1, "q": 1})


def test_the_actions_of_a_package_alone_may_be_listed(host, pack):
    host.action("outside", SHOW)
    assert {entry["name"] for entry in host.get("actions/pack/").json()} == {"show", "feed"}
    assert {entry["namespace"] for entry in host.get("actions/pack/").json()} == {f"{host.namespace}/pack"}


def test_a_list_of_all_actions_shows_those_in_packages(host, pack):
    listed = {(entry["namespace"], entry["name"]) for entry in host.get("actions?limit=200").json()}
    assert (f"{host.namespace}/pack", "show") in listed


@pytest.mark.parametrize(("action", "payload", "expected"), [
    ("pack/show", {}, {"p": 1, "q": 1}),
    ("pack/show", {"q": 9}, {"p": 1, "q": 9}),
    ("bound/show", {}, {"p": 1, "q": 2, "r": 2}),
    ("bound/show", {"r": 9}, {"p": 1, "q": 2, "r": 9}),
])  # fmt: skip
def test_parameters_come_down_and_the_nearest_wins(host, pack, action, payload, expected):
    assert host.result(action, payload) == (200, expected)


def test_an_actions_own_parameters_win_over_its_packages(host, pack):
    host.put("actions/pack/show", {"parameters": [{"key": "q", "value": 3}]})
    assert host.result("pack/show") == (200, {"p": 1, "q": 3})
    assert host.result("bound/show") == (200, {"p": 1, "q": 3, "r": 2})


def test_an_action_is_shown_with_what_it_inherits(host, pack):
    assert parameters(host.get("actions/pack/show")) == {"p": 1, "q": 1}
    assert parameters(host.get("actions/bound/show")) == {"p": 1, "q": 2, "r": 2}


def test_a_binding_shows_what_it_is_bound_to(host, pack):
    binding = host.get("packages/bound").json()
    assert parameters(host.get("packages/bound")) == {"p": 1, "q": 2, "r": 2}
    assert [action["name"] for action in binding["actions"]] == ["show"]
    entry = next(entry for entry in host.get("packages?limit=200").json() if entry["name"] == "bound")
    assert entry["binding"] == {"namespace": host.namespace, "name": "pack"}


def test_a_binding_is_noted_as_one(host, pack):
    notes = {entry["key"]: entry["value"] for entry in host.get("packages/bound").json()["annotations"]}
    record = host.record(host.invoke("bound/show"))
    assert {"key": "binding", "value": f"{host.namespace}/bound"} in record["annotations"]
    assert {"key": "path", "value": f"{host.namespace}/pack/show"} in record["annotations"]
    assert notes.get("binding", {"name": "pack"})["name"] == "pack"


def test_a_package_is_deleted_when_it_is_empty_or_by_force(host, pack):
    text = "Package not empty (contains 2 entities). Set force param or delete package contents."
    assert error(host.client.delete(f"{NS}/packages/pack")) == (409, text)
    assert host.client.delete(f"{NS}/packages/pack?force=true").status_code == 200
    assert host.get("actions/pack/show").status_code == 404


def test_one_entity_is_counted_in_the_singular(host):
    host.put("packages/pack", {})
    host.action("pack/show", SHOW)
    text = "Package not empty (contains 1 entity). Set force param or delete package contents."
    assert error(host.client.delete(f"{NS}/packages/pack")) == (409, text)


def test_deleting_a_binding_leaves_the_package(host, pack):
    assert host.client.delete(f"{NS}/packages/bound").status_code == 200
    assert host.result("pack/show") == (200, {"p": 1, "q": 1})


@pytest.mark.parametrize(("name", "body", "status", "text"), [
    ("default", {}, 400, "Package name 'default' is reserved."),
    ("lost", {"binding": {"namespace": "_", "name": "nowhere"}}, 400,
     "Binding references a package that does not exist."),
    ("twice", {"binding": {"namespace": "_", "name": "bound"}}, 400, "Cannot bind to another package binding."),
    ("pack", {"binding": {"namespace": "_", "name": "other"}}, 409,
     "Resource is a package and cannot be converted into a binding."),
    ("odd", {"binding": {"namespace": "_", "name": "plain"}}, 409, "Cannot bind to a resource that is not a package."),
])  # fmt: skip
def test_packages_that_are_refused(host, pack, name, body, status, text):
    host.put("packages/other", {})
    host.action("plain", SHOW)
    assert error(host.client.put(f"{NS}/packages/{name}?overwrite=true", json=body)) == (status, text)


@pytest.mark.parametrize("method", ["PUT", "DELETE"])
def test_actions_are_not_changed_through_a_binding(host, pack, method):
    body = {"exec": {"kind": host.kinds["python"], "code": SHOW}}
    answer = host.client.request(method, f"{NS}/actions/bound/show?overwrite=true", json=body)
    assert error(answer) == (400, "Operation not permitted on package binding.")


def test_an_action_needs_its_package(host):
    body = {"exec": {"kind": host.kinds["python"], "code": SHOW}}
    text = "The requested resource does not exist."
    assert error(host.client.put(f"{NS}/actions/nowhere/show", json=body)) == (404, text)
    assert error(host.get("actions/nowhere/show")) == (404, text)


def test_a_binding_whose_package_is_gone(host, pack):
    host.client.delete(f"{NS}/packages/pack?force=true")
    text = f"The requested resource '{host.namespace}/bound' does not exist."
    assert error(host.get("packages/bound")) == (404, text)
    assert host.client.delete(f"{NS}/packages/bound").status_code == 200


def test_initial_parameters_of_a_package_come_as_environment(host):
    host.put("packages/pack", {"parameters": [{"key": "P", "value": "package", "init": True}]})
    host.action("pack/env", "import os\ndef main(a): return {'env': os.environ.get('P'), 'args': a}")
    assert host.result("pack/env") == (200, {"env": "package", "args": {}})
