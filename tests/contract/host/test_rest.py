"""The API as a whole: documents about it, headers, ids of requests, browsers, types of bodies (as system/rest)."""

import pytest

NS = "/api/v1/namespaces/_"


def error(response):
    return response.status_code, response.json()["error"]


def test_the_root_says_what_the_host_can_do(host):
    about = host.anonymous.get("/").json()
    assert about["description"] == "OpenWhisk"
    assert about["api_paths"] == ["/api/v1"]
    assert {"actions_per_minute", "concurrent_actions", "triggers_per_minute", "sequence_length"} <= set(
        about["limits"]
    )
    for kinds in about["runtimes"].values():
        assert sum(kind["default"] for kind in kinds) == 1
        assert {"kind", "image", "default", "deprecated", "attached", "requireMain"} <= set(kinds[0])


@pytest.mark.parametrize("path", ["/api/v1", "/api/v1/"])
def test_the_api_says_which_it_is(host, path):
    about = host.anonymous.get(path).json()
    assert (about["description"], about["api_version"], about["api_version_path"]) == ("OpenWhisk API", "1.0.0", "v1")
    assert {"build", "buildno", "swagger_paths"} <= set(about)


@pytest.mark.parametrize(("path", "methods"), [
    ("/namespaces", {"get"}), ("/namespaces/{namespace}/actions", {"get"}),
    ("/namespaces/{namespace}/activations", {"get"}), ("/namespaces/{namespace}/limits", {"get"}),
])  # fmt: skip
def test_the_swagger_document(host, path, methods):
    document = host.anonymous.get("/api/v1/api-docs").json()
    assert (document["swagger"], document["basePath"]) == ("2.0", "/api/v1")
    assert methods <= set(document["paths"][path])


def test_the_host_is_alive(host):
    answer = host.anonymous.get("/ping")
    assert (answer.status_code, answer.text) == (200, "pong")


def test_the_namespaces_of_a_key(host):
    assert host.client.get("/api/v1/namespaces").json() == [host.namespace]
    assert host.anonymous.get("/api/v1/namespaces").status_code == 401


@pytest.mark.parametrize("namespace", ["_", "{}"])
def test_two_names_of_ones_own_namespace(host, namespace):
    host.put("triggers/mine", {})
    path = f"/api/v1/namespaces/{namespace.format(host.namespace)}/triggers/mine"
    assert host.client.get(path).json()["namespace"] == host.namespace


@pytest.mark.parametrize(("given", "kept"), [("mine", True), ("sid_mine", False), (None, False)])
def test_a_request_keeps_its_id_and_an_error_names_it(host, given, kept):
    answer = host.client.get(f"{NS}/actions/none", headers={"X-Request-ID": given} if given else {})
    assert answer.json()["code"] == answer.headers["x-request-id"]
    assert (answer.headers["x-request-id"] == given) is kept


@pytest.mark.parametrize(("path", "status"), [(f"{NS}/actions", 200), (f"{NS}/actions/none", 404), ("/api/v1", 200)])
def test_browsers_of_any_origin_may_read(host, path, status):
    answer = host.client.get(path)
    assert (answer.status_code, answer.headers["access-control-allow-origin"]) == (status, "*")
    allowed = "Authorization, Origin, X-Requested-With, Content-Type, Accept, User-Agent"
    assert answer.headers["access-control-allow-headers"] == allowed
    assert answer.headers["access-control-allow-methods"] == "GET, DELETE, POST, PUT, HEAD"


@pytest.mark.parametrize(("path", "status"), [
    (f"{NS}/actions?limit=x", 400), (f"{NS}/triggers/{'a' * 257}", 400), (f"{NS}/nothing", 404),
    (f"{NS}/activations/0", 400),
])  # fmt: skip
def test_what_is_refused_before_it_is_looked_at_is_for_no_browser(host, path, status):
    answer = host.client.get(path)
    assert (answer.status_code, "access-control-allow-origin" in answer.headers) == (status, False)
    assert "access-control-allow-origin" not in host.anonymous.get(path).headers


@pytest.mark.parametrize("path", [f"{NS}/actions", f"{NS}/actions/x", "/api/v1/namespaces"])
def test_browsers_ask_first_without_a_key(host, path):
    answer = host.anonymous.options(path)
    assert (answer.status_code, answer.headers["access-control-allow-origin"]) == (200, "*")


@pytest.mark.parametrize(("method", "path"), [
    ("GET", "/api/v1/nothing"), ("GET", f"{NS}/nothing"), ("GET", f"{NS}/nothing/x"), ("GET", "/api/v1/web/x"),
    ("POST", f"{NS}/actions"), ("DELETE", f"{NS}/triggers"), ("POST", f"{NS}/packages/x"),
    ("PUT", f"{NS}/activations/{'0' * 32}"),
])  # fmt: skip
def test_paths_that_lead_nowhere(host, method, path):
    assert error(host.client.request(method, path)) == (404, "The requested resource could not be found.")
    assert host.anonymous.request(method, path).status_code == 401


def test_paths_outside_of_the_api(host):
    answer = host.client.get("/nothing")
    assert error(answer) == (405, "HTTP method not allowed, supported methods: OPTIONS")
    assert answer.headers["allow"] == "OPTIONS"
    assert host.anonymous.options("/nothing").status_code == 200


@pytest.mark.parametrize("collection", ["actions", "packages", "triggers", "rules", "activations", "limits"])
def test_a_collection_may_end_in_a_slash(host, collection):
    for path in (f"{NS}/{collection}", "/api/v1/namespaces", "/api/v1/api-docs"):
        with_slash, without = host.client.get(f"{path}/"), host.client.get(path)
        assert (with_slash.status_code, type(with_slash.json())) == (200, type(without.json()))


@pytest.mark.parametrize(("accept", "status"), [
    ("text/html", 406), ("application/json", 200), ("*/*", 200), ("application/*;q=0.1", 200), ("text/html, */*", 200),
    ("application/json;q=0, */*", 406), ("application/json;q=0", 406), ("image/*, text/html;q=0.5", 406), ("", 200),
])  # fmt: skip
def test_what_a_caller_does_not_accept_is_not_shown(host, accept, status):
    answer = host.client.get(f"{NS}/actions", headers={"Accept": accept})
    assert answer.status_code == status
    if status == 406:
        text = "Resource representation is only available with these types:\napplication/json"
        assert error(answer) == (406, text)


def test_an_error_is_shown_to_everyone(host):
    answer = host.client.get(f"{NS}/actions/none", headers={"Accept": "text/html"})
    assert error(answer) == (404, "The requested resource does not exist.")


@pytest.mark.parametrize("text", [b'{"s": "a\xed\xa0\x80b"}', b'{"s": "a\xffb"}'])
def test_bytes_that_are_no_text_are_replaced(host, text):
    host.action("typed", "def main(a): return a", {"web-export": True})
    headers = {"Content-Type": "application/json"}
    answer = host.client.post(f"{NS}/actions/typed?blocking=true&result=true", data=text, headers=headers)
    assert answer.json() == {"s": "a\ufffdb"}
    web = f"/api/v1/web/{host.namespace}/default/typed.json"
    assert host.anonymous.post(web, data=text, headers=headers).json()["s"] == "a\ufffdb"
    plain = host.anonymous.post(web, data=text, headers={"Content-Type": "text/plain"})
    assert plain.json()["__ow_body"] == '{"s": "a\ufffdb"}'


@pytest.mark.parametrize(("method", "path"), [
    ("PUT", "actions/typed"), ("POST", "actions/typed"), ("PUT", "triggers/typed"), ("POST", "rules/typed"),
])  # fmt: skip
@pytest.mark.parametrize("given", ["text/plain", "application/x-www-form-urlencoded"])
def test_a_body_is_json_and_says_so(host, method, path, given):
    host.action("typed", "def main(a): return a")
    answer = host.client.request(method, f"{NS}/{path}", data=b"{}", headers={"Content-Type": given})
    status, text = error(answer)
    assert (status, text.partition(" ")[0], "application/json" in text) == (415, "The", True)


def test_a_body_needs_no_type_where_there_is_none(host):
    host.action("typed", "def main(a): return a")
    assert host.client.post(f"{NS}/actions/typed?blocking=true&result=true").json() == {}


def test_a_charset_does_not_matter(host):
    headers = {"Content-Type": "application/json; charset=utf-8"}
    host.action("typed", "def main(a): return a")
    answer = host.client.post(
        f"{NS}/actions/typed?blocking=true&result=true", data='{"é": 1}'.encode(), headers=headers
    )
    assert answer.json() == {"é": 1}
