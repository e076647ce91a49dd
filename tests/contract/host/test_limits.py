"""Limits at their edges: memory, time, logs, sizes (as ActionLimitsTests and MaxActionDurationTests)."""

import time

import pytest

NS = "/api/v1/namespaces/_"
MEGABYTE = 1_048_576
MEMORY = "The action exhausted its memory and was aborted."
EXITED = "The action did not produce a valid response and exited unexpectedly."


def error(response):
    return response.status_code, response.json()["error"]


def bounds(host):
    """Least and greatest value of each limit, as the host says."""
    said = host.limits
    return {
        "timeout": (said["min_action_duration"], said["max_action_duration"]),
        "memory": (said["min_action_memory"] // MEGABYTE, said["max_action_memory"] // MEGABYTE),
        "logs": (0, said["max_action_logs"] // MEGABYTE),
    }


@pytest.mark.parametrize("limit", ["timeout", "memory", "logs"])
def test_the_least_and_the_greatest_value_are_allowed(host, limit):
    for value in bounds(host)[limit]:
        assert host.action("edge", "x", **{limit: value})["limits"][limit] == value


@pytest.mark.parametrize(("limit", "text"), [
    ("timeout", "duration {} milliseconds {} allowed threshold of {} milliseconds"),
    ("memory", "memory size {} MB {} allowed threshold of {} MB"),
    ("logs", "log size {} MB {} allowed threshold of {} MB"),
    ("concurrency", "concurrency {} {} allowed threshold of {}"),
])  # fmt: skip
def test_beyond_them_nothing_is(host, limit, text):
    least, most = (bounds(host) | {"concurrency": (1, 1)})[limit]
    for value, how, threshold in ((least - 1, "below", least), (most + 1, "exceeds", most)):
        body = {"exec": {"kind": host.kinds["python"], "code": "x"}, "limits": {limit: value}}
        status, sentence = error(host.client.put(f"{NS}/actions/beyond", json=body))
        if value < 0:
            assert status == 400
        else:
            assert (status, text.format(value, how, threshold) in sentence) == (400, True), sentence


def test_limits_that_are_not_given_are_the_usual_ones(host):
    usual = {"concurrency": 1, "logs": 10, "memory": 256, "timeout": 60000}
    assert host.action("usual", "x")["limits"] == usual
    assert host.action("usual", "x", memory=128)["limits"] == usual | {"memory": 128}


def test_unknown_limits_are_dropped(host):
    made = host.action("usual", "x", memory=128, colour=7)["limits"]
    assert made == {"concurrency": 1, "logs": 10, "memory": 128, "timeout": 60000}


@pytest.mark.parametrize(("limit", "value", "text"), [
    ("timeout", "1000", "time limit malformed"), ("memory", True, "memory limit malformed"),
    ("logs", [], "log limit malformed"), ("concurrency", {}, "concurrency limit malformed"),
    ("timeout", 1000.5, "requirement failed: time limit must be whole number"),
])  # fmt: skip
def test_limits_are_whole_numbers(host, limit, value, text):
    body = {"exec": {"kind": host.kinds["python"], "code": "x"}, "limits": {limit: value}}
    answer = host.client.put(f"{NS}/actions/beyond", json=body)
    assert error(answer) == (400, f"The request content was malformed:\n{text}")


def test_instances_are_at_most_what_may_run_at_once(host):
    most = int(host.limits["concurrent_actions"])
    body = {"exec": {"kind": host.kinds["python"], "code": "x"}, "limits": {"instances": most + 1}}
    text = f"Max action instance concurrency must not exceed your namespace concurrency of {most}."
    assert error(host.client.put(f"{NS}/actions/beyond", json=body)) == (400, text)
    assert host.action("instances", "x", instances=most)["limits"]["instances"] == most


def test_an_action_that_takes_too_long_is_ended(host):
    host.action(
        "hangs", "import time\ndef main(a): time.sleep(0 if a.get('warm') else 60); return {}", logs=0, timeout=300
    )
    host.warm("hangs")
    response = host.invoke("hangs")
    answer = response.json()["response"]
    text = "The action exceeded its time limits of 300 milliseconds."
    assert (response.status_code, answer["status"]) == (502, "action developer error")
    assert answer["result"] == {"error": text}
    assert {"key": "timeout", "value": True} in host.record(response)["annotations"]


def test_so_is_one_that_takes_too_long_to_load(host):
    host.action("hangs", "import time\ntime.sleep(60)\ndef main(a): pass", timeout=300)
    text = "The action exceeded its time limits of 300 milliseconds during initialization."
    assert host.result("hangs") == (502, {"error": text})


def test_an_action_that_hung_works_afterwards(host):
    host.action("hangs", "import time\ndef main(a): time.sleep(a.get('s', 0)); return {}", timeout=1000)
    assert host.result("hangs", {"s": 60})[0] == 502
    host.warm("hangs")


@pytest.mark.parametrize("code", [
    "def main(a):\n  x = bytearray(400 << 20)\n  return {'n': len(x)}",
    "X = bytearray(400 << 20)\ndef main(a): return {}",
])  # fmt: skip
def test_an_action_that_takes_too_much_memory_is_ended(host, code):
    host.action("hungry", code, memory=128)
    status, answer = host.result("hungry")
    # a standalone OpenWhisk cannot see why its container went, and the stock proxy outlives its action
    exits = (EXITED, "command exited", "The action did not initialize and exited unexpectedly.",
             "Cannot start action. Check logs for details.")  # fmt: skip
    assert (status, answer["error"] in (MEMORY, *exits)) == (502, True), answer


def test_the_same_action_runs_where_it_may_take_more(host):
    host.action("hungry", "def main(a):\n  x = bytearray(300 << 20)\n  return {'n': len(x)}", memory=512)
    assert host.result("hungry") == (200, {"n": 300 << 20})


def test_logs_longer_than_the_limit_are_cut_and_say_so(host):
    host.action("talks", "def main(a):\n  for i in range(1100): print('x' * 1023)\n  return {}", logs=1)
    lines = host.record(host.invoke("talks"))["logs"]
    if len(lines) != 1100:  # a standalone OpenWhisk's log store knows no limit
        assert 1000 < len(lines) <= 1025
        text = "Logs were truncated because the total bytes size exceeds the limit of 1048576 bytes."
        assert lines[-1].endswith(text)


def test_a_result_above_one_megabyte_is_an_application_error(host):
    host.action("large", "def main(a): return {'x': 'y' * a['n']}")
    assert host.invoke("large", {"n": MEGABYTE - 10}).status_code == 200
    response = host.invoke("large", {"n": MEGABYTE})
    answer = response.json()["response"]
    assert (response.status_code, answer["status"]) == (502, "application error")
    assert answer["result"]["error"].startswith("The action produced a response that exceeded the allowed length: ")
    assert "> 1048576 bytes. The truncated response was: {" in answer["result"]["error"]
    assert host.invoke("large", {"n": 1}).status_code == 200


def payload(size):
    return b'{"x":"' + b"y" * (size - 8) + b'"}'


def test_a_payload_of_one_megabyte_and_not_a_byte_more(host):
    host.action("counts", "def main(a): return {'n': len(a['x'])}")
    path = f"{NS}/actions/counts?blocking=true&result=true"
    headers = {"Content-Type": "application/json"}
    assert host.client.post(path, data=payload(MEGABYTE), headers=headers).json() == {"n": MEGABYTE - 8}
    refused = host.client.post(path, data=payload(MEGABYTE + 1), headers=headers)
    assert error(refused) == (413, "Request larger than allowed: 1048577 > 1048576 bytes.")


def test_an_event_of_one_megabyte_and_not_a_byte_more(host):
    host.put("triggers/large", {})
    headers = {"Content-Type": "application/json"}
    statuses = [
        host.client.post(f"{NS}/triggers/large", data=payload(size), headers=headers).status_code
        for size in (MEGABYTE, MEGABYTE + 1)
    ]
    assert statuses == [204, 413]


def test_code_has_a_size(host):
    body = {"exec": {"kind": host.kinds["python"], "code": "#" * (48 * MEGABYTE + 1)}}
    answer = host.client.put(f"{NS}/actions/beyond", json=body)
    assert error(answer) == (413, "exec larger than allowed: 50331649 > 50331648 bytes.")


@pytest.mark.parametrize("collection", ["actions", "packages", "triggers"])
@pytest.mark.parametrize("field", ["parameters", "annotations"])
def test_parameters_and_annotations_have_a_size(host, collection, field):
    body = {"exec": {"kind": host.kinds["python"], "code": "x"}} if collection == "actions" else {}
    body[field] = [{"key": "k", "value": "y" * MEGABYTE}]
    status, sentence = error(host.client.put(f"{NS}/{collection}/beyond", json=body))
    assert (status, sentence.partition(":")[0]) == (413, f"{field} larger than allowed")


def test_a_large_action_runs(host):
    code = "def main(a): return {}\n" + "#" * (4 * MEGABYTE)
    assert host.action("bulky", code)["exec"]["code"] == code
    assert host.result("bulky") == (200, {})


def test_more_files_than_a_thousand_are_not_opened(host):
    host.action("opens", """
def main(a):
  files = []
  try:
    while len(files) < 3000: files.append(open('/dev/null'))
  except OSError as error:
    return {'most': len(files) < 1025, 'errno': error.errno}
  finally:
    for file in files: file.close()
  return {'most': False}
""")  # fmt: skip
    assert host.result("opens") == (200, {"most": True, "errno": 24})


def test_who_waits_a_minute_is_told_where_to_look(host):
    host.action("slow", "import time\ndef main(a): time.sleep(63); return {'late': True}", timeout=90000, logs=0)
    begin = time.monotonic()
    response = host.invoke("slow")
    assert (response.status_code, set(response.json())) == (202, {"activationId"})
    assert 58 < time.monotonic() - begin < 63
    assert host.record(response)["response"]["result"] == {"late": True}


@pytest.mark.localwhisk("OpenWhisk takes up to twenty seconds to be sure that a container has ended")
@pytest.mark.parametrize("code", ["import time\ndef main(a): time.sleep(60)", "import os\ndef main(a): os._exit(1)"])
def test_the_end_of_an_action_is_told_at_once(host, code):
    host.action("ends", code, timeout=500)
    begin = time.monotonic()
    assert host.invoke("ends").status_code == 502
    assert time.monotonic() - begin < 3


@pytest.mark.localwhisk("a standalone OpenWhisk cannot see why a container has ended")
def test_a_want_of_memory_is_named(host):
    host.action("hungry", "def main(a):\n  x = bytearray(400 << 20)\n  return {'n': len(x)}", memory=128)
    assert host.result("hungry") == (502, {"error": MEMORY})


@pytest.mark.localwhisk("OpenWhisk's logs of such an activation may be there or not")
def test_what_was_said_before_the_end_is_in_the_logs(host):
    host.action("last", "import os\ndef main(a):\n  print('last words', flush=True)\n  os._exit(1)")
    lines = host.record(host.invoke("last"))["logs"]
    assert [line.partition("Z")[2].strip() for line in lines] == [
        "stdout: last words",
        "stderr: The action did not initialize or run as expected. Log data might be missing.",
    ]
