"""Activations: records, logs, lists and times (as WskActivationTests, WskActivationLogsTests, WskConsoleTests)."""

import re
import time

import pytest

NS = "/api/v1/namespaces/_"
ID = re.compile(r"[0-9a-f]{32}")
LABEL = re.compile(r"^\S+Z +(?:stdout: |stderr: )?")  # a standalone OpenWhisk does not say which stream it was


def error(response):
    return response.status_code, response.json()["error"]


def text(record):
    return [LABEL.sub("", line) for line in record["logs"]]


@pytest.fixture
def ran(host):
    """The answer of an action that printed a line."""
    host.action("prints", "def main(a):\n  print('hello', a.get('n'))\n  return {'n': a.get('n')}")
    return host.invoke("prints", {"n": 1})


def test_a_record_is_whole(host, ran):
    record = host.record(ran)
    notes = {entry["key"]: entry["value"] for entry in record["annotations"]}
    assert ID.fullmatch(record["activationId"])
    assert (record["name"], record["namespace"], record["version"]) == ("prints", host.namespace, "0.0.1")
    size = record["response"]["size"]  # with the line break that the stock Python image ends a result with
    assert record["response"] == {"result": {"n": 1}, "size": size, "status": "success", "success": True}
    assert size in (8, 9)
    assert (notes["path"], notes["kind"], notes["timeout"]) == (f"{host.namespace}/prints", host.kinds["python"], False)
    assert notes["limits"] == {"concurrency": 1, "logs": 10, "memory": 256, "timeout": 60000}
    assert notes["waitTime"] >= 0
    assert record["publish"] is False


def test_times_add_up(host):
    host.action("naps", "import time\ndef main(a): time.sleep(0.2); return {}")
    before = time.time() * 1000
    record = host.record(host.invoke("naps"))
    assert before - 2000 < record["start"] <= record["end"] < time.time() * 1000 + 2000
    assert record["duration"] == record["end"] - record["start"] >= 200


def test_only_a_cold_start_has_a_time_to_initialize(host):
    host.action("inits", "def main(a): return {}", logs=0)
    first, second = (host.record(host.invoke("inits")) for _ in range(2))
    notes = [[entry["key"] for entry in record["annotations"]] for record in (first, second)]
    assert ["initTime" in keys for keys in notes] == [True, False]


def test_a_blocking_answer_is_the_record_without_logs(host, ran):
    record = host.record(ran)
    assert ran.json() | {"logs": record["logs"]} == record
    assert ran.json()["logs"] == []


def test_what_was_printed_is_in_the_logs(host, ran):
    assert text(host.record(ran)) == ["hello 1"]
    identifier = ran.json()["activationId"]
    assert host.get(f"activations/{identifier}/logs").json() == {"logs": host.record(ran)["logs"]}


def test_a_line_begins_with_its_time(host, ran):
    line = host.record(ran)["logs"][0]
    assert re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z ", line), line


def test_the_result_alone(host, ran):
    record = host.record(ran)
    assert host.get(f"activations/{record['activationId']}/result").json() == record["response"]


@pytest.mark.parametrize("kind", ["python", "nodejs"])
def test_logs_are_text_of_any_script(host, kind):
    code = {"python": "def main(a):\n  print('☃ 漢字')\n  return {}",
            "nodejs": "function main() { console.log('☃ 漢字'); return {} }"}[kind]  # fmt: skip
    host.action("snow", code, kind=kind)
    assert text(host.record(host.invoke("snow"))) == ["☃ 漢字"]


def test_many_lines_in_their_order(host):
    host.action("counts", "def main(a):\n  for i in range(1000): print(i)\n  return {}")
    assert text(host.record(host.invoke("counts"))) == [str(number) for number in range(1000)]


def test_each_activation_has_its_own_lines(host):
    host.action("prints", "def main(a):\n  print('line', a['n'])\n  return {}")
    answers = [host.invoke("prints", {"n": number}) for number in range(3)]
    assert [text(host.record(answer)) for answer in answers] == [["line 0"], ["line 1"], ["line 2"]]


def test_without_a_limit_for_logs_there_are_none(host):
    host.action("silent", "def main(a):\n  print('unheard')\n  return {}", logs=0)
    record = host.record(host.invoke("silent"))
    assert [line for line in text(record) if "truncated" not in line] == []


def test_a_failed_start_ends_its_logs_with_a_warning(host):
    host.action("fails", "import nothing_like_it\ndef main(a): return {}")
    lines = text(host.record(host.invoke("fails")))
    # a standalone OpenWhisk shows standard output alone, and adds nothing
    assert lines == [] or lines[-1] == "The action did not initialize or run as expected. Log data might be missing."


@pytest.mark.parametrize(("identifier", "status", "sentence"), [
    ("0" * 32, 404, "The requested resource does not exist."),
    ("0" * 31, 400, "Activation id length is 31 but must be 32."),
    ("z" * 32, 400, "The activation id is not valid."),
])  # fmt: skip
@pytest.mark.parametrize("part", ["", "/logs", "/result"])
def test_records_that_are_not_there(host, identifier, status, sentence, part):
    assert error(host.get(f"activations/{identifier}{part}")) == (status, sentence)


def test_a_list_is_of_short_records_the_latest_first(host, ran):
    host.record(ran)
    entry = host.get("activations?limit=1").json()[0]
    assert (entry["activationId"], entry["statusCode"]) == (ran.json()["activationId"], 0)
    assert {"logs", "response"}.isdisjoint(entry)


def test_a_list_of_whole_records(host, ran):
    record = host.record(ran)
    listed = host.get("activations?limit=1&docs=true").json()[0]
    assert (listed["logs"], listed["response"]["result"]) == (record["logs"], record["response"]["result"])


def test_a_list_is_narrowed_to_a_name_and_a_time(host):
    host.put("packages/findme", {})
    for name in ("findme/a_b", "findme/axb", "a_b"):
        host.action(name, "def main(a): return {}", logs=0)
    begin = int(time.time() * 1000)
    time.sleep(0.01)
    for name in ("findme/a_b", "findme/axb", "a_b"):
        host.record(host.invoke(name))
    end = int(time.time() * 1000) + 1000

    def found(query):
        entries = host.get(f"activations?since={begin}&{query}").json()
        return [note["value"] for entry in entries for note in entry["annotations"] if note["key"] == "path"]

    space = host.namespace
    assert found("name=findme/a_b") == [f"{space}/findme/a_b"]
    assert found("name=a_b") == [f"{space}/a_b"]  # one in a package has another name
    assert found("limit=1&skip=1") == [f"{space}/findme/axb"]
    assert found(f"upto={end}") == [f"{space}/a_b", f"{space}/findme/axb", f"{space}/findme/a_b"]
    assert host.get(f"activations?name=a_b&since={end}").json() == []
    assert host.get(f"activations?name=a_b&upto={begin}&since={begin}").json() == []
    assert host.get(f"activations?since={begin}&count=true").json() == {"activations": 3}


@pytest.mark.parametrize("query", ["name=", "name=%20"])
def test_an_empty_name_is_none(host, ran, query):
    host.record(ran)
    assert host.get(f"activations?limit=1&{query}").json()[0]["activationId"] == ran.json()["activationId"]


@pytest.mark.localwhisk("a standalone OpenWhisk's own store looks for the package that a binding leads to")
def test_what_ran_through_a_binding_is_listed_under_it(host):
    host.put("packages/findme", {})
    host.action("findme/bound", "def main(a): return {}", logs=0)
    host.put("packages/through", {"binding": {"namespace": "_", "name": "findme"}})
    record = host.record(host.invoke("through/bound"))
    listed = [host.get(f"activations?name={name}/bound").json() for name in ("through", "findme")]
    assert [[entry["activationId"] for entry in entries] for entries in listed] == [[record["activationId"]], []]


@pytest.mark.parametrize(("query", "sentence"), [
    ("count=true&docs=true", "The parameter 'docs' is not permitted with 'count'."),
    ("name=a/b/c", "The query parameter 'name' was malformed:\n"
                   "Parameter may be a 'simple' name or 'package-name/simple' name: a/b/c"),
    ("name=a*b", "The query parameter 'name' was malformed:\n"
                 "Parameter may be a 'simple' name or 'package-name/simple' name: a*b"),
    ("since=x", "The query parameter 'since' was malformed:\nParameter is not a valid value for epoch seconds: x"),
    ("upto=x", "The query parameter 'upto' was malformed:\nParameter is not a valid value for epoch seconds: x"),
])  # fmt: skip
def test_queries_that_are_refused(host, query, sentence):
    assert error(host.get(f"activations?{query}")) == (400, sentence)


@pytest.mark.parametrize("method", ["PUT", "DELETE", "POST"])
def test_records_are_not_changed(host, ran, method):
    answer = host.client.request(method, f"{NS}/activations/{ran.json()['activationId']}", json={})
    assert 400 <= answer.status_code < 500
    assert host.record(ran)["response"]["result"] == {"n": 1}
