"""Entities of every collection: create, read, update, list and delete (as OpenWhisk's WskRestBasicTests)."""

import time
from urllib.parse import quote

import pytest

NS = "/api/v1/namespaces/_"
COLLECTIONS = ("actions", "packages", "triggers", "rules")
LISTED = (*COLLECTIONS, "activations")
every_collection = pytest.mark.parametrize("collection", COLLECTIONS)


@pytest.fixture
def body(host):
    """What an entity of a collection needs at least; what a rule connects is there."""
    host.put("triggers/basic-fires", {})
    host.action("basic-runs", "def main(a): return a")
    return {
        "actions": {"exec": {"kind": host.kinds["python"], "code": "def main(a): return a"}},
        "packages": {},
        "triggers": {},
        "rules": {"trigger": "/_/basic-fires", "action": "/_/basic-runs"},
    }


def error(response):
    answer = response.json()
    assert set(answer) == {"error", "code"}
    return response.status_code, answer["error"]


def other(letter):
    """One that a random key does not have there."""
    return "1" if letter == "0" else "0"


@every_collection
def test_an_entity_is_made_read_and_deleted(host, body, collection):
    made = host.put(f"{collection}/basic", body[collection])
    assert (made["name"], made["namespace"]) == ("basic", host.namespace)
    assert (made["version"], made["publish"]) == ("0.0.1", False)
    read = host.get(f"{collection}/basic").json()
    assert {key: read[key] for key in made} == made
    deleted = host.client.delete(f"{NS}/{collection}/basic")
    assert (deleted.status_code, deleted.json()["name"]) == (200, "basic")
    named = f" '{host.namespace}/basic'" if collection == "packages" else ""
    assert error(host.get(f"{collection}/basic")) == (404, f"The requested resource{named} does not exist.")


@every_collection
def test_making_an_entity_again_is_a_conflict(host, body, collection):
    host.put(f"{collection}/basic", body[collection])
    again = host.client.put(f"{NS}/{collection}/basic", json=body[collection])
    assert error(again) == (409, "resource already exists")


@every_collection
def test_what_is_missing_cannot_be_deleted(host, collection):
    answer = host.client.delete(f"{NS}/{collection}/basic-missing")
    assert error(answer) == (404, "The requested resource does not exist.")


@every_collection
def test_an_update_raises_the_patch_version_and_the_time(host, body, collection):
    first = host.put(f"{collection}/basic", body[collection])
    time.sleep(0.01)
    second = host.put(f"{collection}/basic", {} if collection == "packages" else body[collection])
    assert (first["version"], second["version"]) == ("0.0.1", "0.0.2")
    assert first["updated"] < second["updated"] < (time.time() + 60) * 1000


@every_collection
def test_a_version_that_is_given_is_kept(host, body, collection):
    assert host.put(f"{collection}/basic", body[collection] | {"version": "1.2.3"})["version"] == "1.2.3"
    assert host.put(f"{collection}/basic", body[collection])["version"] == "1.2.4"


@pytest.mark.parametrize(("given", "taken"), [
    ("1", "1.0.0"), ("1.0", "1.0.0"), ("0.1", "0.1.0"), ("1.2.3.4", "1.2.3"), ("1.2.3.x", "1.2.3"), ("1.", "1.0.0"),
    ("01.+2", "1.2.0"), ("2147483647", "2147483647.0.0"), (None, "0.0.1"),
])  # fmt: skip
def test_what_a_version_lacks_is_zero(host, given, taken):
    assert host.put("packages/basic", {"version": given})["version"] == taken


@every_collection
@pytest.mark.parametrize("given", ["1.2.x", ""])
def test_a_version_is_numbers(host, body, collection, given):
    answer = host.client.put(f"{NS}/{collection}/basic", json=body[collection] | {"version": given})
    assert error(answer) == (400, "The request content was malformed:\nsemantic version malformed")


@pytest.mark.parametrize("given", ["0", "0.0.0", "0.0.0.1", "1..2", ".1", "1.-2", " 1", "v1", "2147483648", 1.5, 1, []])
def test_versions_that_are_none(host, given):
    answer = host.client.put(f"{NS}/packages/basic", json={"version": given})
    assert error(answer) == (400, "The request content was malformed:\nsemantic version malformed")


@every_collection
def test_publication_is_kept_until_it_is_changed(host, body, collection):
    given = body[collection]
    published = [host.put(f"{collection}/basic", given | change)["publish"] for change in ({"publish": True}, {})]
    assert (*published, host.put(f"{collection}/basic", given | {"publish": False})["publish"]) == (True, True, False)


@pytest.mark.parametrize("collection", ["packages", "triggers", "rules"])
def test_annotations_are_replaced_as_a_whole(host, body, collection):
    host.put(f"{collection}/basic", body[collection] | {"annotations": [{"key": "a", "value": 1}]})
    assert host.put(f"{collection}/basic", body[collection])["annotations"] == [{"key": "a", "value": 1}]
    update = host.put(f"{collection}/basic", body[collection] | {"annotations": [{"key": "b", "value": [{}]}]})
    assert update["annotations"] == [{"key": "b", "value": [{}]}]


def test_annotations_of_an_action_are_merged(host, body):
    host.put("actions/basic", body["actions"] | {"annotations": [{"key": "a", "value": 1}, {"key": "b", "value": 1}]})
    update = host.put("actions/basic", {"annotations": [{"key": "b", "value": 2}, {"key": "c", "value": 2}]})
    notes = {entry["key"]: entry["value"] for entry in update["annotations"]}
    assert {key: notes.get(key) for key in "abc"} == {"a": 1, "b": 2, "c": 2}


@pytest.mark.parametrize("collection", ["packages", "triggers"])
def test_parameters_are_replaced_as_a_whole(host, collection):
    host.put(f"{collection}/basic", {"parameters": [{"key": "a", "value": 1}, {"key": "b", "value": 1}]})
    assert host.put(f"{collection}/basic", {"parameters": [{"key": "b", "value": None}]})["parameters"] == [
        {"key": "b", "value": None}
    ]


@every_collection
def test_a_list_shows_the_latest_first_and_in_pages(host, body, collection):
    for name in ("basic-1", "basic-2", "basic-3"):
        host.put(f"{collection}/{name}", body[collection])
        time.sleep(0.01)
    names = [entry["name"] for entry in host.get(f"{collection}?limit=3").json()]
    assert names == ["basic-3", "basic-2", "basic-1"]
    assert [entry["name"] for entry in host.get(f"{collection}?limit=1&skip=1").json()] == ["basic-2"]
    total = host.get(f"{collection}?count=true").json()
    assert set(total) == {collection}
    assert total[collection] >= 3
    assert host.get(f"{collection}?count=true&skip=1").json() == {collection: total[collection] - 1}


@pytest.mark.parametrize("collection", ["actions", "packages", "triggers"])
def test_a_list_shows_no_code_and_no_parameters(host, body, collection):
    host.put(f"{collection}/basic", body[collection] | {"parameters": [{"key": "secret", "value": 1}]})
    entry = host.get(f"{collection}?limit=1").json()[0]
    assert entry["name"] == "basic"
    assert "secret" not in str(entry)
    assert "def main" not in str(entry)


@pytest.mark.parametrize("collection", LISTED)
@pytest.mark.parametrize(("query", "name", "reason"), [
    ("limit=201", "limit", "The value '201' is not in the range of 0 to 200 for {}."),
    ("limit=-1", "limit", "The value '-1' is not in the range of 0 to 200 for {}."),
    ("limit=x", "limit", "The value 'x' is not an integer for {}."),
    ("skip=-1", "skip", "The value '-1' is not greater than or equal to 0 for {}."),
])  # fmt: skip
def test_pages_have_bounds(host, collection, query, name, reason):
    text = f"The query parameter '{name}' was malformed:\n{reason.format(collection)}"
    assert error(host.get(f"{collection}?{query}")) == (400, text)


def test_a_list_has_thirty_entries_unless_told_and_two_hundred_for_zero(host):
    for number in range(32):
        host.put(f"triggers/basic-{number}", {})
    assert len(host.get("triggers").json()) == 30
    assert 32 <= len(host.get("triggers?limit=0").json()) <= 200


@pytest.mark.parametrize("name", ["a", "a b", "a.b", "a@b", "a&b", "_a-", "0", "a" * 256])
def test_names_that_are_allowed(host, name):
    assert host.put(f"triggers/{quote(name)}", {})["name"] == name
    assert host.get(f"triggers/{quote(name)}").json()["name"] == name


@pytest.mark.parametrize("name", [" a", "a ", "a*b", "-a", ".a", "a$", "ä", "a,b"])
def test_names_that_are_not_allowed(host, name):
    answer = host.client.put(f"{NS}/triggers/{quote(name)}", json={})
    assert error(answer) == (400, "The name of the entity contains illegal characters.")


@pytest.mark.parametrize(("path", "what"), [
    ("_/triggers/{}", "Name segement"), ("_/actions/{}/x", "Name segement"), ("{}/triggers", "Namespace"),
])  # fmt: skip
def test_a_name_may_be_too_long(host, path, what):
    answer = host.client.get(f"/api/v1/namespaces/{path.format('a' * 257)}")
    assert error(answer) == (400, f"{what} longer than allowed: 257 > 256.")


@pytest.mark.parametrize("collection", ["actions", "triggers", "rules", "activations"])
def test_another_namespace_is_not_ones_own(host, collection):
    status, text = error(host.client.get(f"/api/v1/namespaces/someone-else/{collection}"))
    assert (status, text.partition("'")[0]) == (403, "The supplied authentication is not authorized to access ")


@pytest.mark.parametrize("collection", LISTED)
def test_nobody_gets_in_without_credentials(host, collection):
    answer = host.anonymous.get(f"{NS}/{collection}")
    assert error(answer) == (401, "The resource requires authentication, which was not supplied with the request")
    assert answer.headers["www-authenticate"].startswith("Basic realm=")


@pytest.mark.parametrize("wrong", ["key", "user", "format"])
def test_nobody_gets_in_with_wrong_credentials(host, wrong):
    user, _, key = host.key.partition(":")
    credentials = {"key": f"{user}:{key[:-1]}{other(key[-1])}", "user": f"{user[:-1]}{other(user[-1])}:{key}",
                   "format": "guest:guest"}[wrong]  # fmt: skip
    with host.client_as(credentials) as client:
        assert error(client.get(f"{NS}/actions")) == (401, "The supplied authentication is invalid")


@every_collection
@pytest.mark.parametrize("text", ["{", "[]", '"x"', "{}}"])
def test_a_body_that_is_no_object_is_refused(host, collection, text):
    headers = {"Content-Type": "application/json"}
    answer = host.client.put(f"{NS}/{collection}/basic-bad", data=text, headers=headers)
    status, sentence = error(answer)
    assert (status, sentence.partition("\n")[0]) == (400, "The request content was malformed:")


@pytest.mark.parametrize(("made", "asked"), [
    ("triggers", "actions"), ("triggers", "rules"), ("packages", "actions"), ("actions", "packages"),
])  # fmt: skip
def test_a_name_belongs_to_one_collection(host, body, made, asked):
    host.put(f"{made}/basic", body[made])
    text = "Resource by this name exists but is not in this collection."
    assert error(host.get(f"{asked}/basic")) == (409, text)
    assert error(host.client.put(f"{NS}/{asked}/basic?overwrite=true", json=body[asked])) == (409, text)
    assert error(host.client.delete(f"{NS}/{asked}/basic")) == (409, text)


def test_a_flag_of_a_query_is_true_or_false(host):
    text = "The query parameter 'count' was malformed:\n'x' is not a valid Boolean value"
    assert error(host.get("actions?count=x")) == (400, text)
    assert isinstance(host.get("actions?count=false").json(), list)
