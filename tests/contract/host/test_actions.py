"""What an action is given, what it may return, and how it is updated (as OpenWhisk's WskActionTests)."""

import base64
import io
import time
import zipfile

import pytest

NS = "/api/v1/namespaces/_"
ECHO = {"python": "def main(a): return a", "nodejs": "function main(a) { return a }"}
EXITED = "The action did not produce a valid response and exited unexpectedly."
each_kind = pytest.mark.parametrize("kind", ["python", "nodejs"])


def archive(files):
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as packed:
        for name, text in files.items():
            packed.writestr(name, text)
    return base64.b64encode(content.getvalue()).decode()


def error(response):
    return response.status_code, response.json()["error"]


@each_kind
def test_arguments_come_back_as_they_went(host, kind):
    host.action("echo", ECHO[kind], kind=kind)
    body = {"text": "«Ωμέγα» 漢字 🙂 \u0000 \\", "number": -1.5e-7, "list": [None, True, [], {}], "": {"deep": [[1]]}}
    assert host.result("echo", body) == (200, body)


@each_kind
def test_without_a_body_there_are_no_arguments(host, kind):
    host.action("echo", ECHO[kind], kind=kind)
    assert host.client.post(f"{NS}/actions/echo?blocking=true&result=true").json() == {}


@each_kind
def test_a_payload_overrides_the_actions_parameters(host, kind):
    parameters = [{"key": "a", "value": 1}, {"key": "b", "value": {"x": [1]}}, {"key": "c", "value": None}]
    host.put("actions/echo", {"exec": {"kind": host.kinds[kind], "code": ECHO[kind]}, "parameters": parameters})
    assert host.result("echo", {"a": None, "d": 4}) == (200, {"a": None, "b": {"x": [1]}, "c": None, "d": 4})


@pytest.mark.parametrize(("kind", "code"), [
    ("python", "def other(a): return {'main': 'other'}\ndef main(a): return {}"),
    ("nodejs", "function other() { return { main: 'other' } }\nfunction main() { return {} }"),
])  # fmt: skip
def test_an_entry_of_another_name(host, kind, code):
    host.put("actions/other", {"exec": {"kind": host.kinds[kind], "code": code, "main": "other"}})
    assert host.result("other") == (200, {"main": "other"})


@pytest.mark.parametrize(("kind", "files"), [
    ("python", {"__main__.py": "from half import x\ndef main(a): return {'x': x}", "half.py": "x = 'from a module'"}),
    ("nodejs", {"package.json": '{"main": "index.js"}', "half.js": "exports.x = 'from a module'",
                "index.js": "exports.main = () => ({ x: require('./half').x })"}),
])  # fmt: skip
def test_an_archive_of_several_files(host, kind, files):
    execution = {"kind": host.kinds[kind], "code": archive(files), "binary": True}
    assert host.put("actions/zip", {"exec": execution})["exec"]["binary"] is True
    assert host.result("zip") == (200, {"x": "from a module"})


@pytest.mark.parametrize(("kind", "code", "result"), [
    ("python", "def main(a): raise ValueError('no')", "no"),
    ("python", "def main(a): return {'error': {'why': [1]}}", {"why": [1]}),
    ("nodejs", "function main() { return Promise.reject({ why: 'no' }) }", {"why": "no"}),
    ("nodejs", "async function main() { return { error: false } }", False),
])  # fmt: skip
def test_an_error_of_the_application(host, kind, code, result):
    host.action("errs", code, kind=kind)
    response = host.invoke("errs")
    assert (response.status_code, response.json()["response"]["status"]) == (502, "application error")
    assert response.json()["response"]["result"] == {"error": result}


@pytest.mark.parametrize(("kind", "code"), [
    ("python", "def main(a): return 'text'"), ("python", "def main(a): return {'x': float('nan')}"),
    ("python", "def main(a): return {1, 2}"), ("python", "import sys\ndef main(a): sys.exit(1)"),
    ("python", "import nothing_like_it\ndef main(a): return a"), ("python", "def main(a) return a"),
    ("python", "def other(a): return a"), ("nodejs", "function main() { throw new Error('no') }"),
    ("nodejs", "function main() { return 'text' }"), ("nodejs", "function main( { return {} }"),
    ("nodejs", "function main() { process.exit(1) }"),
])  # fmt: skip
def test_an_error_of_the_developer(host, kind, code):
    host.action("fails", code, kind=kind)
    response = host.invoke("fails")
    answer = response.json()["response"]
    assert (response.status_code, answer["status"], answer["success"]) == (502, "action developer error", False)
    assert list(answer["result"]) == ["error"]


def test_a_promise_is_waited_for(host):
    code = "function main(a) { return new Promise(done => setTimeout(() => done({ late: a.n }), 50)) }"
    host.action("late", code, kind="nodejs")
    assert host.result("late", {"n": 7}) == (200, {"late": 7})


@each_kind
def test_an_array_comes_back_bare(host, kind):
    host.action("list", {"python": "def main(a): return [1, {}]", "nodejs": "() => [1, {}]"}[kind], kind=kind)
    if kind == "nodejs":
        host.action("list", "function main() { return [1, {}] }", kind=kind)
    for query in ("blocking=true", "blocking=true&result=true"):
        assert host.invoke("list", query=query).json() == [1, {}]


@each_kind
def test_what_an_action_knows_of_itself(host, kind):
    code = {
        "python": "import os\ndef main(a): return {k: v for k, v in os.environ.items() if k.startswith('__OW_')}",
        "nodejs": "function main() { return Object.fromEntries(Object.entries(process.env)"
        ".filter(([k]) => k.startsWith('__OW_'))) }",
    }[kind]
    host.put("packages/basic", {})
    made = host.action("basic/context", code, kind=kind, timeout=30000)
    before = time.time()
    response = host.invoke("basic/context")
    context = response.json()["response"]["result"]
    assert context["__OW_ACTIVATION_ID"] == response.headers["x-openwhisk-activation-id"]
    assert context["__OW_NAMESPACE"] == host.namespace
    assert context["__OW_ACTION_NAME"] == f"/{host.namespace}/basic/context"
    assert context["__OW_ACTION_VERSION"] == made["version"]
    assert before - 5 < int(context["__OW_DEADLINE"]) / 1000 - 30 < time.time() + 5
    assert context["__OW_API_HOST"].startswith("http")
    assert context["__OW_TRANSACTION_ID"] == response.headers["x-request-id"]
    assert "__OW_API_KEY" not in context


@pytest.mark.parametrize("wanted", [False, True])
def test_the_key_reaches_only_an_action_that_asks_for_it(host, wanted):
    code = "import os\ndef main(a): return {'key': os.environ.get('__OW_API_KEY')}"
    host.action("key", code, {"provide-api-key": wanted})
    assert host.result("key") == (200, {"key": host.key if wanted else None})


def test_an_action_invokes_another_with_its_key(host):
    host.action("inner", "def main(a): return {'n': a['n'] + 1}")
    host.action("outer", """
import base64, json, os, ssl, urllib.request
def main(a):
  url = os.environ['__OW_API_HOST'] + '/api/v1/namespaces/_/actions/inner?blocking=true&result=true'
  key = base64.b64encode(os.environ['__OW_API_KEY'].encode()).decode()
  headers = {'Authorization': 'Basic ' + key, 'Content-Type': 'application/json'}
  request = urllib.request.Request(url, json.dumps({'n': a['n'] * 2}).encode(), headers)
  return json.load(urllib.request.urlopen(request, context=ssl._create_unverified_context()))
""", {"provide-api-key": True})  # fmt: skip
    assert host.result("outer", {"n": 20}) == (200, {"n": 41})


def test_initial_parameters_come_as_environment(host):
    code = "import os\ndef main(a): return {'args': a, 'env': [os.environ.get(k) for k in 'ABCD']}"
    values = {"A": "text", "B": 1, "C": {"x": [True, None]}, "D": None}
    parameters = [{"key": key, "value": value, "init": True} for key, value in values.items()]
    host.put("actions/initial", {"exec": {"kind": host.kinds["python"], "code": code}, "parameters": parameters})
    expected = {"args": {"p": 1}, "env": ["text", "1", '{"x":[true,null]}', ""]}
    assert host.result("initial", {"p": 1}) == (200, expected)


def test_final_parameters_are_not_overridden(host):
    body = {
        "exec": {"kind": host.kinds["python"], "code": ECHO["python"]},
        "annotations": [{"key": "final", "value": True}],
        "parameters": [{"key": "fixed", "value": 1}, {"key": "open", "value": None}],
    }
    host.put("actions/final", body)
    text = "Request defines parameters that are not allowed (e.g., reserved properties)."
    assert error(host.invoke("final", {"fixed": 2})) == (400, text)
    assert host.result("final", {"open": 2}) == (200, {"fixed": 1, "open": 2})


def test_new_code_takes_effect_at_once(host):
    for number in range(3):
        host.action("changes", f"def main(a): return {{'n': {number}}}")
        assert host.result("changes") == (200, {"n": number})


def test_an_update_changes_only_what_it_names(host):
    execution = {"kind": host.kinds["python"], "code": ECHO["python"]}
    whole = {"exec": execution, "parameters": [{"key": "a", "value": 1}], "limits": {"timeout": 5000, "memory": 128}}
    host.put("actions/partly", whole)
    update = host.put("actions/partly", {"limits": {"timeout": 6000}})
    assert update["exec"]["code"] == ECHO["python"]
    assert update["parameters"] == [{"key": "a", "value": 1}]
    assert (update["limits"]["timeout"], update["limits"]["memory"]) == (6000, 128)
    assert host.put("actions/partly", {"parameters": []})["parameters"] == []


def test_annotations_may_be_removed_by_name(host):
    host.action("noted", ECHO["python"], {"a": 1, "b": 2})
    update = host.put("actions/noted", {"delAnnotations": ["a"]})
    notes = {entry["key"]: entry["value"] for entry in update["annotations"]}
    assert (notes.get("b"), "a" in notes) == (2, False)


def test_what_the_server_notes_by_itself(host):
    notes = {entry["key"]: entry["value"] for entry in host.action("plain", ECHO["python"])["annotations"]}
    assert notes == {"exec": host.kinds["python"], "provide-api-key": False}
    keyed = host.action("keyed", "x", {"provide-api-key": True})
    assert {"key": "provide-api-key", "value": True} in keyed["annotations"]


def test_the_default_of_a_family(host):
    assert host.action("default", ECHO["python"], kind="python:default")["exec"]["kind"] == host.kinds["python"]


def test_code_is_shown_unless_one_asks_for_none(host):
    host.action("shown", ECHO["python"])
    assert host.get("actions/shown").json()["exec"]["code"] == ECHO["python"]
    assert "code" not in host.get("actions/shown?code=false").json()["exec"]


@pytest.mark.parametrize(("body", "text"), [
    ({}, "exec undefined"),
    ({"exec": {"code": "x"}}, "The request content was malformed:\n'kind' must be a string defined in 'exec'"),
])  # fmt: skip
def test_an_action_needs_code_of_a_kind(host, body, text):
    assert error(host.client.put(f"{NS}/actions/incomplete", json=body)) == (400, text)


def test_an_action_needs_code(host):
    kind = host.kinds["python"]
    text = f"'code' must be a string or attachment object defined in 'exec' for '{kind}' actions"
    answer = host.client.put(f"{NS}/actions/incomplete", json={"exec": {"kind": kind}})
    assert error(answer) == (400, f"The request content was malformed:\n{text}")


def test_an_unknown_kind_is_refused_with_those_there_are(host):
    status, text = error(host.client.put(f"{NS}/actions/odd", json={"exec": {"kind": "cobol:60", "code": "x"}}))
    assert status == 400
    assert "The specified runtime 'cobol:60' is not supported by this platform. Valid values are: " in text
    assert f"'{host.kinds['python']}'" in text


def test_an_action_that_does_not_wait_for_its_caller(host):
    host.action("echo", ECHO["python"])
    response = host.invoke("echo", {"x": 1}, "")
    assert (response.status_code, set(response.json())) == (202, {"activationId"})
    assert response.json()["activationId"] == response.headers["x-openwhisk-activation-id"]
    assert host.record(response)["response"]["result"] == {"x": 1}


def test_a_caller_may_wait_for_less_long(host):
    host.action("sleeps", "import time\ndef main(a): time.sleep(3); return {'slept': True}")
    begin = time.monotonic()
    response = host.invoke("sleeps", query="blocking=true&timeout=300")
    assert (response.status_code, time.monotonic() - begin < 2.5) == (202, True)
    assert host.record(response)["response"]["result"] == {"slept": True}


@pytest.mark.parametrize("wait", ["0", "60001", "-1", "x"])
def test_a_wait_is_a_number_of_milliseconds(host, wait):
    host.action("echo", ECHO["python"])
    assert error(host.invoke("echo", query=f"blocking=true&timeout={wait}"))[0] == 400


@pytest.mark.parametrize("text", ["[1]", '"x"', "1", "null", "{"])
def test_arguments_are_an_object(host, text):
    host.action("echo", ECHO["python"])
    headers = {"Content-Type": "application/json"}
    response = host.client.post(f"{NS}/actions/echo?blocking=true", data=text, headers=headers)
    assert error(response)[0] == 400


def test_an_action_that_ends_its_process(host):
    host.action("ends", "import os\ndef main(a): os._exit(0)")
    answer = host.invoke("ends").json()["response"]
    # the stock Python image's proxy outlives its action and says so
    assert (answer["status"], answer["result"]["error"] in (EXITED, "command exited")) == (
        "action developer error",
        True,
    )


def test_deleting_an_action_ends_it(host):
    host.action("echo", ECHO["python"])
    assert host.result("echo")[0] == 200
    host.client.delete(f"{NS}/actions/echo")
    assert error(host.invoke("echo")) == (404, "The requested resource does not exist.")


def test_the_catalogs_echo(host):
    answer = host.client.post(
        "/api/v1/namespaces/whisk.system/actions/utils/echo?blocking=true&result=true", json={"é": [1.5, None]}
    )
    if answer.status_code in (403, 404):
        pytest.skip("no catalog: this host has no /whisk.system/utils/echo")
    assert answer.json() == {"é": [1.5, None]}


def test_half_a_surrogate_pair_harms_nobody(host):
    host.action("half", "function main() { return { s: '\\udfff' } }", kind="nodejs")
    assert host.result("half") == (200, {"s": "?"})
    host.action("echo", ECHO["nodejs"], kind="nodejs")
    headers = {"Content-Type": "application/json"}
    path = f"{NS}/actions/echo?blocking=true&result=true"
    assert host.client.post(path, data=b'{"s": "a\\ud800b"}', headers=headers).json() == {"s": "a?b"}
