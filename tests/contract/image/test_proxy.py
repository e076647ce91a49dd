"""What a host relies on beyond OpenWhisk's records: preload, order, probes, ends, and what a zip may hold."""

import http.client
import io
import itertools
import json
import signal
import socket
import threading
import zipfile
from base64 import b64encode
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any

import pytest

SENTINEL = "XXX_THE_END_OF_A_WHISK_ACTIVATION_XXX\n"
KINDS = ("python", "nodejs")
LOST = (None, None, False)
ECHO = {"python": "def main(a): return a", "nodejs": "function main(a) { return a }"}
Start = Callable[..., Any]


def init(code: str, **value: Any) -> dict[str, Any]:
    return {"value": {"name": "a", "main": "main", "binary": False, "code": code, **value}}


def test_modules_are_imported_before_init_which_waits_meanwhile(start: Start, tmp_path: Path) -> None:
    wait = "while not pathlib.Path(__file__).with_name('go').exists(): time.sleep(0.01)"
    (tmp_path / "slow.py").write_text(f"import os, pathlib, time\nos.write(2, b'noise')\n{wait}\nready = time.time()")
    container = start("python", OW_PRELOAD="slow,decimal")
    source = "import sys, time\nB = time.time()\ndef main(a): return {'late': B - sys.modules['slow'].ready}"
    connection = http.client.HTTPConnection(*container.address, timeout=60)
    connection.request("POST", "/init", json.dumps(init(source)))  # waits in the backlog
    (tmp_path / "0" / "go").touch()
    assert connection.getresponse().status == 200
    connection.close()
    assert container.post("/run", {"value": {}}).body["late"] > 0
    assert container.outputs() == (SENTINEL, SENTINEL)


def test_what_was_imported_before_init_is_left_out_of_garbage_collection(start: Start) -> None:
    container = start("python", OW_PRELOAD="decimal")
    source = "import gc\ndef main(a): return {'enabled': gc.isenabled(), 'frozen': gc.get_freeze_count() > 1000}"
    assert container.post("/init", init(source)).status == 200
    assert container.post("/run", {"value": {}}).body == {"enabled": True, "frozen": True}


def test_a_module_that_cannot_be_imported_is_named_at_init(start: Start) -> None:
    container = start("python", OW_PRELOAD="decimal,nosuch")
    text = "OW_PRELOAD: got nosuch (ModuleNotFoundError: No module named 'nosuch'), expected a module that imports"
    assert container.post("/init", init("def main(a): return a")) == (502, {"error": text}, True)
    assert container.outputs() == (SENTINEL, f"{text}\n{SENTINEL}")


def runs_at_once(container: Any, count: int) -> list[Any]:
    answers: list[Any] = []
    threads = [
        threading.Thread(target=lambda: answers.append(container.post("/run", {"value": {}}))) for _ in range(count)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return answers


def test_python_runs_one_activation_at_a_time(initialized: Start) -> None:
    source = "import time\ndef main(a):\n  b = time.time()\n  time.sleep(0.1)\n  return {'times': [b, time.time()]}"
    times = sorted(answer.body["times"] for answer in runs_at_once(initialized("python", source), 4))
    assert all(earlier[1] <= later[0] for earlier, later in itertools.pairwise(times))


def test_nodejs_refuses_a_run_beside_another(initialized: Start, tmp_path: Path) -> None:
    look = f"if (require('fs').existsSync('{tmp_path}/go')) {{ clearInterval(timer); resolve({{}}) }}"
    source = f"const main = () => new Promise(resolve => {{ const timer = setInterval(() => {{ {look} }}, 10) }})"
    container = initialized("nodejs", source)
    with ThreadPoolExecutor() as pool:
        runs = {pool.submit(container.post, "/run", {"value": {}}) for _ in range(2)}
        refused, left = wait(runs, return_when=FIRST_COMPLETED)
        (tmp_path / "go").touch()
        answers = [run.result() for run in (*refused, *left)]
    assert answers == [(403, {"error": "System not ready, status is running."}, True), (200, {}, True)]


@pytest.mark.parametrize("kind", KINDS)
def test_a_probe_that_sends_nothing_does_no_harm(kind: str, initialized: Start) -> None:
    container = initialized(kind, ECHO[kind])
    for _ in range(3):
        socket.create_connection(container.address).close()
    assert container.post("/run", {"value": {"a": 1}}).body == {"a": 1}
    assert container.outputs() == (SENTINEL, SENTINEL)


@pytest.mark.parametrize("kind", KINDS)
def test_a_killed_container_answers_nothing(kind: str, initialized: Start) -> None:
    sleep = {
        "python": "import time\ndef main(a): time.sleep(60)",
        "nodejs": "function main() { return new Promise(resolve => setTimeout(resolve, 60000)) }",
    }
    container = initialized(kind, sleep[kind])
    threading.Timer(0.3, container.signal, [signal.SIGKILL]).start()
    assert (container.post("/run", {"value": {}}), container.ends()) == (LOST, True)


@pytest.mark.parametrize("kind", KINDS)
def test_an_action_may_end_its_container(kind: str, initialized: Start) -> None:
    end = {"python": "import os\ndef main(a): os._exit(1)", "nodejs": "function main() { process.exit(1) }"}
    container = initialized(kind, end[kind])
    assert (container.post("/run", {"value": {}}), container.ends()) == (LOST, True)


def test_an_action_may_make_an_answer_its_last(initialized: Start) -> None:
    container = initialized("python", "ENDED = False\ndef main(a):\n  global ENDED\n  ENDED = a['last']\n  return a")
    assert container.post("/run", {"value": {"last": False}}).body == {"last": False}
    assert container.post("/run", {"value": {"last": True}}).body == {"last": True}
    assert (container.ends(), container.outputs()) == (True, (SENTINEL * 2, SENTINEL * 2))


def test_sigterm_ends_the_container_at_once(initialized: Start) -> None:
    container = initialized("python", ECHO["python"])
    container.signal(signal.SIGTERM)
    assert container.ends()


@pytest.mark.parametrize("result", ["{1, 2}", "{'a': object()}", "b'x'", "a.update(a=a) or a"])
def test_a_result_that_is_no_json_ends_the_container(result: str, initialized: Start) -> None:
    container = initialized("python", f"def main(a): return {result}")
    assert container.post("/run", {"value": {}}) == (400, {"error": "command exited"}, True)
    assert container.ends()
    stderr = container.outputs()[1]
    assert (stderr.split()[0], stderr.split()[-1] + "\n") == ("Traceback", SENTINEL)


@pytest.mark.parametrize("number", ["float('inf')", "-float('inf')"])
def test_infinity_is_no_result(number: str, initialized: Start) -> None:
    container = initialized("python", f"def main(a): return [{{'x': {number}}}]")
    assert container.post("/run", {"value": {}}).status == 502


def zipped(files: dict[str, str]) -> str:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as writer:
        for name, text in files.items():
            writer.writestr(name, text)
    return b64encode(archive.getvalue()).decode()


def test_a_python_zip_wins_over_the_proxys_own_folder(initialized: Start) -> None:
    files = {"__main__.py": "import proxy\ndef main(a): return {'mine': proxy.MINE}", "proxy.py": "MINE = 1"}
    container = initialized("python", zipped(files), binary=True)
    assert container.post("/run", {"value": {}}).body == {"mine": 1}


def test_an_action_cannot_import_the_proxy(start: Start) -> None:
    container = start("python")
    assert container.post("/init", init("import proxy\ndef main(a): return a")).status == 502
    assert "ModuleNotFoundError: No module named 'proxy'" in container.outputs()[1]


def test_a_syntax_error_in_a_zip_is_found_at_init(start: Start) -> None:
    container = start("python")
    answer = container.post("/init", init(zipped({"__main__.py": "def main(a) return"}), binary=True))
    text = "The action failed to generate or locate a binary. See logs for details."
    assert answer == (502, {"error": text}, True)


def test_code_that_is_no_base64_is_refused(start: Start) -> None:
    assert start("python").post("/init", init("%%%", binary=True)).status == 502


def test_a_nodejs_zip_finds_its_own_modules_first_and_the_images_after(initialized: Start) -> None:
    source = "exports.main = () => ({ mine: require('uuid').mine, theirs: require('openwhisk/package.json').version })"
    files = {"index.js": source, "node_modules/uuid/index.js": "exports.mine = true"}
    container = initialized("nodejs", zipped(files), binary=True)
    assert container.post("/run", {"value": {}}).body == {"mine": True, "theirs": "3.21.8"}


def test_a_nodejs_zip_without_an_entry_is_refused(start: Start) -> None:
    text = "Initialization has failed due to: Zipped actions must contain either package.json or index.js at the root."
    answer = start("nodejs").post("/init", init(zipped({"a.js": ""}), binary=True))
    assert answer == (502, {"error": text}, True)


@pytest.mark.parametrize(
    ("rejection", "error"),
    [("", {}), ("new TypeError('boom')", {"name": "TypeError", "message": "boom"}), ("'text'", "text")],
)
def test_a_promise_that_nodejs_rejects_is_an_error_of_the_action(
    rejection: str, error: object, initialized: Start
) -> None:
    container = initialized("nodejs", f"async function main() {{ return Promise.reject({rejection}) }}")
    status, body, _ = container.post("/run", {"value": {}})
    if isinstance(body["error"], dict):
        body["error"].pop("stack", None)
    assert (status, body) == (200, {"error": error})
    assert container.post("/run", {"value": {}}).status == 200
