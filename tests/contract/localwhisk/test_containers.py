"""What becomes of containers and of the activations in them: limits, ends, reuse, eviction, stem cells, restarts."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

FLAGS = ("--user-memory", "1024", "--invocations-per-minute", "6000")
EXITED = "The action did not produce a valid response and exited unexpectedly."
ABNORMAL = "The action did not initialize or run as expected. Log data might be missing."
WHO = """
import os, time
N = 0
def main(a):
  global N
  N += 1
  time.sleep(a.get('sleep', 0))
  return {'pid': os.getpid(), 'n': N}
"""


def put(host, name, code, kind="python:3.11", **limits):
    return host.put(f"actions/{name}", {"exec": {"kind": kind, "code": code}, "limits": limits})


def record(host, answer):
    path = f"/api/v1/namespaces/_/activations/{answer.headers['x-openwhisk-activation-id']}"
    deadline = time.monotonic() + 5
    while (response := host.client.get(path)).status_code == 404 and time.monotonic() < deadline:
        time.sleep(0.02)
    return response.json()


def failure(host, answer):
    """Status, error and the last line of the logs."""
    stored = record(host, answer)
    line = stored["logs"][-1].partition("Z")[2].strip() if stored["logs"] else None
    return answer.status_code, stored["response"]["status"], stored["response"]["result"]["error"], line


def test_more_memory_than_the_limit_is_named(host):
    put(host, "hungry", "def main(a):\n  x = bytearray(300 << 20)\n  return {'n': len(x)}", memory=128)
    error = "The action exhausted its memory and was aborted."
    expected = (502, "action developer error", error, f"stderr: {ABNORMAL}")
    assert failure(host, host.invoke("hungry")) == expected
    put(host, "hungry", "def main(a):\n  x = bytearray(300 << 20)\n  return {'n': len(x)}", memory=512)
    assert host.invoke("hungry").json()["response"]["result"] == {"n": 300 << 20}


def test_memory_is_limited_while_the_code_is_loaded_too(host):
    put(host, "heavy", "X = bytearray(300 << 20)\ndef main(a): return {}", memory=128)
    assert failure(host, host.invoke("heavy"))[2] == "The action exhausted its memory and was aborted."


def test_an_action_that_hangs_is_ended_at_its_limit(host):
    code = "import time\ndef main(a): time.sleep(0 if a.get('warm') else 60); return {}"
    put(host, "hangs", code, timeout=300)
    host.warm("hangs")
    begin = time.monotonic()
    answer = host.invoke("hangs")
    assert time.monotonic() - begin < 3
    error = "The action exceeded its time limits of 300 milliseconds."
    assert failure(host, answer) == (502, "action developer error", error, f"stderr: {ABNORMAL}")
    assert {"key": "timeout", "value": True} in record(host, answer)["annotations"]
    put(host, "hangs", "import time\ntime.sleep(60)\ndef main(a): pass", timeout=300)
    error = "The action exceeded its time limits of 300 milliseconds during initialization."
    assert failure(host, host.invoke("hangs"))[2] == error


def test_a_container_killed_from_outside_is_answered_at_once(host):
    put(host, "who", WHO)
    pid = host.invoke("who").json()["response"]["result"]["pid"]
    threading.Timer(0.5, os.kill, (pid, signal.SIGKILL)).start()
    begin = time.monotonic()
    answer = host.invoke("who", {"sleep": 30})
    assert 0.3 < time.monotonic() - begin < 2
    assert failure(host, answer) == (502, "action developer error", EXITED, f"stderr: {ABNORMAL}")


def test_an_idle_container_that_died_is_replaced(host):
    put(host, "who", WHO)
    pid = host.invoke("who").json()["response"]["result"]["pid"]
    os.kill(pid, signal.SIGKILL)
    until(lambda: not running(pid))
    assert host.invoke("who").json()["response"]["result"]["n"] == 1


def test_an_action_that_ends_its_process(host):
    put(host, "ends", "import os\ndef main(a): os._exit(0)")
    assert failure(host, host.invoke("ends"))[2] == EXITED
    put(host, "ends", "import os\nos._exit(0)\ndef main(a): pass")
    assert failure(host, host.invoke("ends"))[2] == "The action did not initialize and exited unexpectedly."


def test_what_an_action_starts_ends_with_its_container(host, tmp_path):
    put(host, "forks", f"""
import os, subprocess, sys
def main(a):
  subprocess.Popen(['sleep', '271'], start_new_session=bool(a.get('session')))
  child = subprocess.run(['pgrep', '-n', '-f', '^sleep 271$'], capture_output=True, text=True).stdout
  open({str(tmp_path / 'child')!r}, 'w').write(child)
  os._exit(1)
""")  # fmt: skip
    for session in (False, True):
        assert failure(host, host.invoke("forks", {"session": session}))[2] == EXITED
        child = int((tmp_path / "child").read_text())
        deadline = time.monotonic() + 5
        while running(child) and time.monotonic() < deadline:
            time.sleep(0.02)
        assert not running(child)


def test_an_equal_action_finds_its_container_again_and_a_changed_one_does_not(host):
    put(host, "who", WHO, logs=0)
    first = [host.invoke("who").json()["response"]["result"] for _ in range(3)]
    assert len({result["pid"] for result in first}) == 1
    assert [result["n"] - first[0]["n"] for result in first] == [0, 1, 2]
    put(host, "who", WHO, logs=0, timeout=5000)
    assert host.invoke("who").json()["response"]["result"]["n"] == 1
    same = {"version": "1.0.0", "limits": {"logs": 0, "timeout": 5000}, "exec": {"kind": "python:3.11", "code": WHO}}
    host.put("actions/who", same)
    pid = host.invoke("who").json()["response"]["result"]["pid"]
    host.put("actions/who", same)
    assert host.invoke("who").json()["response"]["result"] == {"pid": pid, "n": 2}


def test_a_container_that_waits_is_paused(host):
    put(host, "ticks", """
import threading, time
ticks = 0
def tick():
  global ticks
  while True:
    ticks += 1
    time.sleep(0.1)
threading.Thread(target=tick, daemon=True).start()
def main(a): return {'ticks': ticks}
""")  # fmt: skip
    before = host.invoke("ticks").json()["response"]["result"]["ticks"]
    time.sleep(20)
    after = host.invoke("ticks").json()["response"]["result"]["ticks"]
    assert 80 < after - before < 160


def test_the_least_recently_used_container_gives_way(host):
    for name in ("old", "new"):
        put(host, name, WHO + f"\n# {name}", memory=512, logs=0)
    pids = {name: host.invoke(name).json()["response"]["result"]["pid"] for name in ("new", "old", "new")}
    put(host, "third", WHO + "\n# third", memory=512, logs=0)
    host.invoke("third")
    assert host.invoke("new").json()["response"]["result"] == {"pid": pids["new"], "n": 3}
    assert host.invoke("old").json()["response"]["result"]["n"] == 1


def test_who_does_not_fit_waits_in_line(host):
    put(host, "big", WHO, memory=512, logs=0)
    with ThreadPoolExecutor(4) as threads:
        answers = list(threads.map(lambda _: host.invoke("big", {"sleep": 1.5}), range(4)))
    waits = sorted(annotation(answer.json(), "waitTime") for answer in answers)
    assert [answer.status_code for answer in answers] == [200] * 4
    assert waits[1] < 1400 <= waits[2]


def test_logs_longer_than_the_limit_are_cut_and_say_so(host):
    put(host, "talks", "def main(a):\n  for i in range(1100): print('x' * 1023)\n  return {}", logs=1)
    lines = record(host, host.invoke("talks"))["logs"]
    assert len(lines) == 1025
    assert lines[1023].partition("Z")[2].strip() == "stdout: " + "x" * 1023
    assert lines[1024].endswith("Logs were truncated because the total bytes size exceeds the limit of 1048576 bytes.")


def test_a_result_above_one_megabyte_is_an_application_error(host):
    put(host, "large", "def main(a): return {'x': 'y' * a['n']}")
    assert host.invoke("large", {"n": (1 << 20) - 10}).status_code == 200
    first = host.invoke("large", {"n": (1 << 20) - 9}).json()["response"]["result"]["error"]
    assert first.startswith("The action produced a response that exceeded the allowed length: 1048577 > 1048576 bytes.")
    answer = host.invoke("large", {"n": 1 << 20})
    length = len('{"x": "') + (1 << 20) + len('"}\n')
    response = answer.json()["response"]
    assert (answer.status_code, response["status"]) == (502, "application error")
    text = f"The action produced a response that exceeded the allowed length: {length} > 1048576 bytes."
    assert response["result"]["error"].startswith(f'{text} The truncated response was: {{"x": "yyy')
    assert host.invoke("large", {"n": 1}).status_code == 200


def test_an_image_this_machine_does_not_have(host):
    host.put("actions/foreign", {"exec": {"kind": "blackbox", "image": "someone/else:1"}})
    assert failure(host, host.invoke("foreign"))[:3] == (
        502, "action developer error", "Failed to pull container image 'someone/else:1'.",
    )  # fmt: skip


def test_stem_cells_are_taken_by_kind_and_memory_and_replaced(start_host):
    host = start_host("--user-memory", "2048", stem_cells=[{"initialCount": 1, "memory": "256 MB"}])
    until(lambda: len(started(host)) == 1)
    before = containers(host)
    put(host, "who", WHO)
    assert annotation(host.invoke("who").json(), "initTime") < 1000
    until(lambda: len(started(host)) == 2)
    after = containers(host)
    assert before < after
    put(host, "other", WHO, memory=128)
    host.invoke("other")
    assert len(containers(host) - after) == 1


def test_a_stem_cell_is_not_replaced_where_there_is_no_room(start_host):
    flags = ("--user-memory", "700", "--max-memory", "256")
    host = start_host(*flags, stem_cells=[{"initialCount": 2, "memory": "256 MB"}])
    until(lambda: len(started(host)) == 1)
    before = containers(host)
    put(host, "who", WHO)
    host.invoke("who")
    assert (containers(host), len(before)) == (before, 1)


def test_stem_cells_leave_room_for_any_action(start_host):
    host = start_host("--user-memory", "512", stem_cells=[{"initialCount": 2, "memory": "256 MB"}])
    put(host, "big", WHO, memory=512)
    assert host.invoke("big", query="blocking=true&timeout=5000").status_code == 200


def test_sigterm_ends_every_container(start_host):
    host = start_host()
    put(host, "who", WHO)
    pid = host.invoke("who").json()["response"]["result"]["pid"]
    assert host.stop() == 0
    assert not running(pid)
    assert not list((host.state / "containers").iterdir())


def test_a_kill_loses_nothing_but_what_ran(start_host):
    host = start_host()
    put(host, "who", WHO)
    finished = host.invoke("who")
    pid = finished.json()["response"]["result"]["pid"]
    expected = record(host, finished)
    lost = host.invoke("who", {"sleep": 60}, query="").json()["activationId"]
    time.sleep(0.3)
    host.stop(signal.SIGKILL)
    assert running(pid)
    successor = start_host()
    assert not running(pid)
    assert successor.key == host.key
    assert record(successor, finished) == expected
    response = successor.client.get(f"/api/v1/namespaces/_/activations/{lost}").json()["response"]
    error = {"error": "The activation was lost: localwhisk ended while it ran."}
    assert response == {"status": "whisk internal error", "success": False, "result": error}
    assert successor.invoke("who").json()["response"]["result"]["n"] == 1


def test_a_second_host_on_the_same_state_is_refused(start_host):
    first = start_host()
    command = [sys.executable, "-m", "localwhisk", "--state", str(first.state)]
    second = subprocess.run(command, env={"PYTHONPATH": "runtime"}, capture_output=True, text=True, check=False)
    assert second.returncode == 1
    assert second.stderr == f"localwhisk: state: got {first.state}, expected a folder that no other one uses\n"


def annotation(activation, key):
    return next(entry["value"] for entry in activation["annotations"] if entry["key"] == key)


def containers(host):
    return {folder.name for folder in (host.state / "containers").iterdir()}


def started(host):
    """Containers whose process runs: a stem cell is taken from then on."""
    notes = (host.state / "containers").glob("*/process.json")
    return [note for note in notes if json.loads(note.read_text())["pid"]]


def until(condition):
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def running(pid):
    """Whether the process exists and is no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
