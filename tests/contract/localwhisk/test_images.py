"""Images and limits that are not the usual ones: what becomes of an activation when its container misbehaves."""

import json
import signal

import pytest

PROXY = """#!{python}
import http.server, json, os, pathlib, socket
class Handler(http.server.BaseHTTPRequestHandler):
  def do_POST(self):
    self.rfile.read(int(self.headers['Content-Length']))
    status, body, length = ({behaviour})(self.path, pathlib.Path({folder!r}))
    self.send_response(status)
    if length: self.send_header('Content-Length', str(len(body)))
    self.end_headers()
    self.wfile.write(body)
  def log_message(self, *words): pass
server = http.server.HTTPServer(('', 0), Handler, bind_and_activate=False)
server.socket = socket.socket(fileno=int(os.environ['OW_SOCKET']))
server.serve_forever()
"""
ONCE = """lambda path, folder: (503, b'{{}}', True) if path == {path!r} and not (folder / 'seen').exists() and
  not (folder / 'seen').touch() else (200, b'{{"well": true}}', True)"""


@pytest.fixture
def prepare(start_host, tmp_path):
    """Start a host with an action `odd` of an image whose proxy answers as told."""

    def start(behaviour, **limits):
        program = tmp_path / "image/bin/python"
        program.parent.mkdir(parents=True)
        program.write_text(PROXY.format(python="/usr/bin/env python3", behaviour=behaviour, folder=str(tmp_path)))
        program.chmod(0o755)
        host = start_host("--image", f"odd/image:1={program.parent.parent}")
        execution = {"kind": "blackbox", "image": "odd/image:1", "code": "x"}
        host.put("actions/odd", {"exec": execution, "limits": {"timeout": 5000, "logs": 0} | limits})
        return host

    return start


@pytest.fixture
def run(prepare):
    """Run it once."""
    return lambda behaviour: prepare(behaviour).invoke("odd")


@pytest.mark.parametrize("path", ["/init", "/run"])
def test_a_container_that_shuts_down_hands_its_activation_on(run, path):
    answer = run(ONCE.format(path=path))
    assert (answer.status_code, answer.json()["response"]["result"]) == (200, {"well": True})


@pytest.mark.parametrize(("behaviour", "text"), [
    ("lambda path, folder: (500, b'', True)", "The action failed during initialization."),
    ("lambda path, folder: (500, b'why', True)", "The action failed during initialization: why"),
    ("lambda path, folder: (500, b'{\"error\": \"own words\"}', True)", "own words"),
    ("lambda path, folder: (200, b'', True)", "The action did not produce a valid JSON or JSON Array response."),
    ("lambda path, folder: (200, b'{', True)", "The action did not produce a valid JSON or JSON Array response: {"),
    ("lambda path, folder: (500 if path == '/run' else 200, b'{\"error\": 7}', True)", 7),
    ("lambda path, folder: (200, b'{}', False)", "The action did not initialize and exited unexpectedly."),
    ("lambda path, folder: (200, b'{}', path == '/init')",
     "The action did not produce a valid response and exited unexpectedly."),
    ("lambda path, folder: os._exit(1)", "The action did not initialize and exited unexpectedly."),
])  # fmt: skip
def test_answers_that_are_none(run, behaviour, text):
    answer = run(behaviour)
    response = answer.json()["response"]
    assert (answer.status_code, response["status"]) == (502, "action developer error")
    assert response["result"] == {"error": text}


def test_an_image_without_its_program(prepare, tmp_path):
    host = prepare("None")
    (tmp_path / "image/bin/python").unlink()
    answer = host.invoke("odd")
    assert answer.json()["response"]["result"] == {"error": "executable file not found in image odd/image:1"}
    assert answer.status_code == 502


def test_an_answer_survives_a_kill_before_its_logs_are_there(prepare, start_host):
    host = prepare("lambda path, folder: (200, b'{\"well\": true}', True)", logs=1)  # it writes no sentinels
    answer = host.invoke("odd")
    assert host.get(f"activations/{answer.json()['activationId']}").status_code == 404
    host.stop(signal.SIGKILL)
    assert start_host().record(answer) == answer.json()


KINDS = {
    "go:1.20": "openwhisk/action-golang-v1.20:nightly", "php:8.1": "openwhisk/action-php-v8.1:nightly",
    "python:3.10": "openwhisk/action-python-v3.10:nightly", "nodejs:18": "openwhisk/action-nodejs-v18:nightly",
}  # fmt: skip


def test_kinds_without_a_runtime_here(launch, tmp_path):
    families = {}
    for kind, image in KINDS.items():
        prefix, name, tag = image.replace(":", "/").split("/")
        entry = {"kind": kind, "default": True, "image": {"prefix": prefix, "name": name, "tag": tag}}
        families[kind.partition(":")[0]] = [entry | {"stemCells": [{"initialCount": 1, "memory": "128 MB"}]}]
    (tmp_path / "runtimes.json").write_text(json.dumps({"runtimes": families}))
    host = launch(tmp_path / "state", "--runtimes", str(tmp_path / "runtimes.json"))
    listed = [kind["kind"] for kinds in host.client.get("/").json()["runtimes"].values() for kind in kinds]
    assert listed == list(KINDS)
    for kind, image in KINDS.items():
        host.action("foreign", "def main(a): return a", kind=kind)
        answer = host.invoke("foreign")
        assert answer.status_code == 502
        assert answer.json()["response"]["status"] == "action developer error"
        assert answer.json()["response"]["result"] == {"error": f"Failed to pull container image '{image}'."}
    assert host.stop() == 0


def test_a_platform_with_one_kind_of_runtime(launch, tmp_path):
    python = {"kind": "python:3.11", "default": True, "image": {"name": "python"}}
    (tmp_path / "runtimes.json").write_text(json.dumps({"runtimes": {"python": [python]}}))
    host = launch(tmp_path / "state", "--runtimes", str(tmp_path / "runtimes.json"))
    host.action("echo", "def main(a): return a")
    assert host.result("echo", {"x": 1}) == (200, {"x": 1})
    echo = host.client.post("/api/v1/namespaces/whisk.system/actions/utils/echo", json={})
    assert echo.status_code == 404
    assert host.stop() == 0


def test_an_action_made_when_more_was_allowed(start_host):
    host = start_host()
    host.action("large", "def main(a): return {}", memory=512)
    assert host.result("large") == (200, {})
    host.stop()
    host = start_host("--max-memory", "256")
    answer = host.invoke("large")
    response = answer.json()["response"]
    assert (answer.status_code, response["status"]) == (502, "application error")
    assert response["result"] == {"error": "Action limit exceeded the system limit."}
    assert host.record(answer)["response"] == response
