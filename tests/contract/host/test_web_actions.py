"""Web actions: what they are told, how they answer, who may call them (as WskWebActionsTests)."""

import base64
import json

import pytest

TELL = "def main(a): return {'body': {k: v for k, v in a.items() if k != '__ow_headers'}}"
PLAIN = "def main(a): return a.get('give')"
TEXT, HTML, JSON, SVG = "text/plain; charset=UTF-8", "text/html; charset=UTF-8", "application/json", "image/svg+xml"
MISMATCH = "Response type in header did not match generated content type."
NOT_ALLOWED = "Request defines parameters that are not allowed (e.g., reserved properties)."
NOT_FOUND = "The requested resource does not exist."


@pytest.fixture
def web(host):
    """The path of a web action that was just made."""

    def make(name, code=TELL, **notes):
        host.action(name, code, {"web-export": True} | {key.replace("_", "-"): note for key, note in notes.items()})
        package, _, action = name.rpartition("/")
        return f"/api/v1/web/{host.namespace}/{package or 'default'}/{action}"

    return make


def error(response):
    answer = response.json()
    assert set(answer) == {"error", "code"}
    return response.status_code, answer["error"]


def post(host, path, given):
    """Have the action return this."""
    return host.anonymous.post(path, json={"give": given})


def test_a_request_in_full(host, web):
    answer = host.anonymous.get(f"{web('tell')}.http/some/path?q=1&r=a%20b&q=2")
    told = {"__ow_method": "get", "__ow_path": "/some/path", "q": "2", "r": "a b"}
    assert answer.json() == told
    assert len(answer.headers["x-openwhisk-activation-id"]) == 32


@pytest.mark.parametrize("method", ["get", "post", "put", "delete", "patch"])
def test_every_method_is_told(host, web, method):
    assert host.anonymous.request(method.upper(), web("tell")).json()["__ow_method"] == method


def test_a_head_has_no_body(host, web):
    answer = host.anonymous.head(web("tell"))
    assert (answer.status_code, answer.content) == (200, b"")


def test_headers_are_told_in_small_letters(host, web):
    path = web("heads", "def main(a): return {'body': {'x': a['__ow_headers'].get('x-mine')}}")
    assert host.anonymous.get(path, headers={"X-MINE": "Yes"}).json() == {"x": "Yes"}


def test_a_caller_is_named_where_there_is_one(host, web):
    path = web("tell")
    assert host.client.get(path).json()["__ow_user"] == host.namespace
    assert "__ow_user" not in host.anonymous.get(path).json()


def test_a_json_body_comes_over_the_query(host, web):
    answer = host.anonymous.post(f"{web('tell')}?a=1&b=1", json={"b": 2, "c": [None]}).json()
    assert {key: answer[key] for key in "abc"} == {"a": "1", "b": 2, "c": [None]}


def test_a_form_is_parameters_too(host, web):
    answer = host.anonymous.post(web("tell"), data={"a": "x y", "b": "é"}).json()
    assert (answer["a"], answer["b"]) == ("x y", "é")


@pytest.mark.parametrize(("kind", "body", "told"), [
    ("application/json", b"[1,2]", [1, 2]), ("text/plain", "é".encode(), "é"),
    ("image/png", b"\x00\x01", "AAE="), ("application/octet-stream", b"x", "eA=="),
    ("application/xml", b"<x/>", "<x/>"), ("image/svg+xml", b"<x/>", "PHgvPg=="), ("text/mine", b"x", "eA=="),
    ("text/mine; charset=utf-8", b"x", "x"), ("text/csv", b"x", "x"), ("application/mine+json", b"[1]", [1]),
    (None, b"x", "eA=="),
])  # fmt: skip
def test_other_bodies_come_whole(host, web, kind, body, told):
    answer = host.anonymous.post(web("tell"), data=body, headers={"Content-Type": kind})
    assert answer.json()["__ow_body"] == told


@pytest.mark.parametrize(("kind", "body", "told"), [
    ("application/json", b'{"p":1}', base64.b64encode(b'{"p":1}').decode()),
    ("application/x-www-form-urlencoded", b"p=1", "p=1"), ("text/plain", b"p", "p"), ("text/plain", b"", ""),
])  # fmt: skip
def test_a_raw_one_gets_query_and_body_as_they_are(host, web, kind, body, told):
    path = web("raw", raw_http=True)
    answer = host.anonymous.post(f"{path}?q=1&q=2", data=body, headers={"Content-Type": kind}).json()
    assert answer == {"__ow_method": "post", "__ow_path": "", "__ow_query": "q=1&q=2", "__ow_body": told}


def test_a_body_that_is_no_json_is_refused(host, web):
    answer = host.anonymous.post(web("tell"), data=b"{", headers={"Content-Type": "application/json"})
    assert (answer.status_code, answer.json()["error"].partition("\n")[0]) == (
        400, "The request content was malformed:",
    )  # fmt: skip


@pytest.mark.parametrize("name", ["__ow_method", "__ow_headers", "__ow_path", "__ow_user", "__ow_query", "__ow_body"])
def test_nobody_sets_what_only_the_server_may(host, web, name):
    path = web("tell")
    assert error(host.anonymous.get(f"{path}?{name}=x")) == (400, NOT_ALLOWED)
    assert error(host.anonymous.post(path, json={name: "x"})) == (400, NOT_ALLOWED)


def test_final_parameters_are_not_overridden(host, web):
    path = web("tell", final=True)
    host.put("actions/tell", {"parameters": [{"key": "fixed", "value": 1}, {"key": "open", "value": None}]})
    assert error(host.anonymous.get(f"{path}?fixed=2")) == (400, NOT_ALLOWED)
    assert host.anonymous.get(f"{path}?open=2").json()["fixed"] == 1


@pytest.mark.parametrize(("extension", "given", "kind", "body"), [
    (".http", {"body": "x"}, HTML, b"x"),
    ("", {"body": "x"}, HTML, b"x"),
    (".http", {"body": "x", "headers": {"Content-Type": "text/plain"}}, TEXT, b"x"),
    (".http", {"body": "AAEC", "headers": {"content-type": "image/png"}}, "image/png", b"\0\1\2"),
    (".http", {"body": "PHgvPg==", "headers": {"Content-Type": SVG}}, SVG, b"<x/>"),
    (".html", {"html": "<b>é</b>"}, HTML, "<b>é</b>".encode()),
    (".html", {"body": "<b/>", "html": "no"}, HTML, b"<b/>"),
    (".svg", {"svg": "<svg/>"}, SVG, b"<svg/>"),
    (".text", {"text": "é"}, TEXT, "é".encode()),
    (".text", {"text": 4}, TEXT, b"4"),
    (".text", {"text": True}, TEXT, b"true"),
])  # fmt: skip
def test_how_a_result_is_shown(host, web, extension, given, kind, body):
    answer = post(host, web("give", PLAIN) + extension, given)
    assert (answer.status_code, answer.content) == (200, body)
    assert kind is None or answer.headers["content-type"].replace("utf", "UTF") == kind


@pytest.mark.parametrize(("extension", "given", "value"), [
    (".json", {"a": [1]}, {"a": [1]}), (".json", {"body": 1}, {"body": 1}),
    (".http", {"body": {"a": 1}}, {"a": 1}), (".http", {"body": [1]}, [1]), (".text", {"text": {"a": 1}}, {"a": 1}),
])  # fmt: skip
def test_how_a_document_is_shown(host, web, extension, given, value):
    answer = post(host, web("give", PLAIN) + extension, given)
    assert (answer.status_code, json.loads(answer.text)) == (200, value)


@pytest.mark.parametrize(("given", "status"), [
    ({"statusCode": 201}, 201), ({"statusCode": "404"}, 404), ({}, 204), ({"body": ""}, 204),
    ({"body": "", "statusCode": 200}, 200), ({"body": None, "statusCode": 301}, 301), ({"statusCode": 201.0}, 201),
])  # fmt: skip
def test_an_answer_without_a_body(host, web, given, status):
    answer = post(host, web("give", PLAIN), given)
    assert (answer.status_code, answer.content) == (status, b"")


def test_headers_of_an_answer(host, web):
    given = {"headers": {"X-Text": "é", "X-Number": 3, "X-True": True, "Set-Cookie": ["a=1", "b=2"]}, "body": "x"}
    given["headers"]["X-Text"] = "plain"
    headers = post(host, web("give", PLAIN), given).headers
    assert [headers[name] for name in ("x-text", "x-number", "x-true")] == ["plain", "3", "true"]
    assert "a=1" in headers["set-cookie"]
    assert "b=2" in headers["set-cookie"]


def test_a_redirection(host, web):
    answer = post(host, web("give", PLAIN), {"statusCode": 302, "headers": {"Location": "https://example.org/"}})
    assert (answer.status_code, answer.headers["location"]) == (302, "https://example.org/")


@pytest.mark.parametrize(("extension", "given", "status", "text"), [
    (".html", {"html": 3}, 400, "Response is not valid 'text/html'."),
    (".svg", {"html": "x"}, 400, "Response is not valid 'image/svg+xml'."),
    (".text", {"other": 3}, 404, "Response does not include requested property."),
    (".http", {"statusCode": "x"}, 400, "Response is not valid 'message/http'."),
    (".http", {"statusCode": 200.5}, 400, "Response is not valid 'message/http'."),
    (".http", {"statusCode": "200.0"}, 400, "Response is not valid 'message/http'."),
    (".http", {"statusCode": True}, 400, "Response is not valid 'message/http'."),
    (".http", {"statusCode": None}, 400, "Response is not valid 'message/http'."),
    (".http", {"body": "<x/>", "headers": {"Content-Type": SVG}}, 400, MISMATCH),
    (".http", {"headers": {"a": {}}}, 400, "Response is not valid 'message/http'."),
    (".http", {"headers": [], "body": "x"}, 400, "Response is not valid 'message/http'."),
    (".http", {"body": "*", "headers": {"Content-Type": "image/png"}}, 400, MISMATCH),
    (".http", {"body": {}, "headers": {"Content-Type": "image/png"}}, 400, MISMATCH),
    (".http", {"body": "x", "headers": {"Content-Type": "nonsense"}}, 400,
     "Response did not specify a known content-type."),
])  # fmt: skip
def test_results_that_cannot_be_shown(host, web, extension, given, status, text):
    answer = post(host, web("give", PLAIN) + extension, given)
    assert error(answer) == (status, text)
    assert len(answer.headers["x-openwhisk-activation-id"]) == 32
    assert answer.headers["access-control-allow-origin"] == "*"


@pytest.mark.parametrize("extension", [".http", ".json", ".text"])
def test_an_array_is_no_answer(host, web, extension):
    answer = post(host, web("give", PLAIN) + extension, [1])
    assert (answer.status_code, answer.text) == (500, "There was an internal server error.")


@pytest.mark.parametrize(("extension", "given", "accept", "status"), [
    (".http", {"body": "x"}, "text/html", 200), (".http", {"body": "x"}, "image/png", 406),
    (".http", {"body": {}}, "text/html", 406), (".json", {"a": 1}, "text/html", 406),
    (".http", {}, "image/png", 204), (".http", {"body": "x", "statusCode": 404}, "image/png", 404),
])  # fmt: skip
def test_what_a_caller_does_not_accept_is_not_shown(host, web, extension, given, accept, status):
    path = web("give", PLAIN) + extension
    answer = host.anonymous.post(path, json={"give": given}, headers={"Accept": accept})
    assert answer.status_code == status
    if status == 406:
        assert error(answer)[1].startswith("Resource representation is only available with these types:\n")


def test_an_action_has_the_transaction_of_the_request(host, web):
    path = web("told", "import os\ndef main(a): return {'body': os.environ['__OW_TRANSACTION_ID']}")
    assert host.anonymous.get(path, headers={"X-Request-ID": "mine"}).text == "mine"


@pytest.mark.parametrize(("given", "status", "body"), [
    ({"error": {"statusCode": 418, "body": "teapot"}}, 418, b"teapot"),
    ({"error": {"body": "no"}}, 200, b"no"),
])  # fmt: skip
def test_an_error_may_be_an_answer(host, web, given, status, body):
    answer = post(host, web("give", PLAIN), given)
    assert (answer.status_code, answer.content) == (status, body)


def test_an_error_that_is_no_answer(host, web):
    path = web("raises", "def main(a): raise ValueError('no')")
    assert error(host.anonymous.get(path)) == (400, "Response is not valid 'message/http'.")
    assert host.anonymous.get(f"{path}.text").text == "no"


def test_a_developers_error_is_not_shown(host, web):
    path = web("dies", "import os\ndef main(a): os._exit(1)")
    answer = host.anonymous.get(path)
    assert error(answer) == (400, "There was an error processing your request.")
    assert len(answer.headers["x-openwhisk-activation-id"]) == 32


@pytest.mark.parametrize("name", ["missing", "pack/missing", "private"])
def test_what_is_not_exported_is_not_there(host, name):
    host.action("private", TELL)
    package, _, action = name.rpartition("/")
    path = f"/api/v1/web/{host.namespace}/{package or 'default'}/{action}"
    assert error(host.anonymous.get(f"{path}.json")) == (404, NOT_FOUND)
    assert error(host.client.get(f"{path}.json")) == (404, NOT_FOUND)


def test_another_namespace_is_not_there(host):
    assert error(host.anonymous.get("/api/v1/web/no-such-one/default/x.json")) == (404, NOT_FOUND)


@pytest.mark.parametrize("exported", [False, "true", 1, None])
def test_an_export_is_true_and_nothing_else(host, web, exported):
    path = web("tell", web_export=exported)
    assert error(host.anonymous.get(path)) == (404, NOT_FOUND)


def test_one_in_a_package_and_through_a_binding(host, web):
    host.put("packages/pack", {"parameters": [{"key": "p", "value": 1}]})
    path = web("pack/tell")
    host.put(
        "packages/bound", {"binding": {"namespace": "_", "name": "pack"}, "parameters": [{"key": "p", "value": 2}]}
    )
    bound = path.replace("/pack/", "/bound/")
    assert [host.anonymous.get(place).json()["p"] for place in (path, bound)] == [1, 2]


def test_a_sequence_may_be_one(host, web):
    host.action("first", "def main(a): return {'body': 'first', 'q': a['q']}")
    host.action("second", "def main(a): return {'body': a['body'] + ', then ' + a['q']}")
    execution = {"kind": "sequence", "components": ["/_/first", "/_/second"]}
    host.put("actions/chain", {"exec": execution, "annotations": [{"key": "web-export", "value": True}]})
    assert host.anonymous.get(f"/api/v1/web/{host.namespace}/default/chain?q=second").text == "first, then second"


@pytest.mark.parametrize("secret", ["s3cret", 12345])
def test_a_secret_of_its_own(host, web, secret):
    path = web("secret", require_whisk_auth=secret)
    given = [None, "wrong", str(secret)]
    answers = [host.anonymous.get(path, headers={"X-Require-Whisk-Auth": text} if text else {}) for text in given]
    assert [answer.status_code for answer in answers] == [401, 401, 200]
    assert host.client.get(path).status_code == 401
    assert error(answers[0]) == (401, "Authentication is possible but has failed or not yet been provided.")
    assert "www-authenticate" not in answers[0].headers
    assert answers[0].headers["access-control-allow-origin"] == "*"


def test_callers_with_the_key_alone(host, web):
    path = web("members", require_whisk_auth=True)
    assert (host.anonymous.get(path).status_code, host.client.get(path).status_code) == (401, 200)
    assert host.anonymous.get(web("open", require_whisk_auth=False)).status_code == 200


def test_a_browser_is_answered_for_the_action(host, web):
    path = web("tell")
    asked = {"Access-Control-Request-Headers": "x-mine"}
    for headers, allowed in (({}, "Authorization, Origin, X-Requested-With, Content-Type, Accept, User-Agent"),
                             (asked, "x-mine")):  # fmt: skip
        answer = host.anonymous.options(path, headers=headers)
        assert (answer.status_code, answer.content) == (200, b"")
        assert answer.headers["access-control-allow-origin"] == "*"
        assert answer.headers["access-control-allow-methods"] == "OPTIONS, GET, DELETE, POST, PUT, HEAD, PATCH"
        assert answer.headers["access-control-allow-headers"] == allowed
    assert host.anonymous.get(path).headers["access-control-allow-origin"] == "*"


def test_an_action_may_answer_browsers_itself(host, web):
    code = "def main(a): return {'headers': {'X-Method': a['__ow_method']}, 'statusCode': 200}"
    path = web("own", code, web_custom_options=True, require_whisk_auth="s3")
    answer = host.anonymous.options(path)
    assert (answer.status_code, answer.headers["x-method"]) == (200, "options")
    assert "access-control-allow-origin" not in answer.headers
    assert host.anonymous.get(path).status_code == 401


def test_a_request_of_one_megabyte_and_not_a_byte_more(host, web):
    path = web("sized", "def main(a): return {'body': {'n': len(a['__ow_body'])}}")
    headers = {"Content-Type": "text/plain"}
    assert host.anonymous.post(path, data=b"x" * 1_000_000, headers=headers).json() == {"n": 1_000_000}
    refused = host.anonymous.post(path, data=b"x" * 1_048_577, headers=headers)
    assert error(refused) == (413, "Request larger than allowed: 1048577 > 1048576 bytes.")


def test_wrong_credentials_make_nobody(host, web):
    with host.client_as(host.key[:-1] + ("x" if host.key[-1] != "x" else "y")) as client:
        assert "__ow_user" not in client.get(web("tell")).json()
        assert client.get(web("members", require_whisk_auth=True)).status_code == 401
