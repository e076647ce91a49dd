"""The proxies of kind python and nodejs answer /init and /run as Apache OpenWhisk's own runtime containers do."""

import copy
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

RECORDS = [
    record
    for record in map(json.loads, Path(__file__).with_name("container-records.jsonl").read_text("utf-8").splitlines())
    if "case" in record
]
SENTINEL = "XXX_THE_END_OF_A_WHISK_ACTIVATION_XXX\n"
KINDS = ("python", "nodejs")
Start = Callable[..., Any]

CONTEXT = [
    "__OW_ACTION_NAME",
    "__OW_ACTION_VERSION",
    "__OW_ACTIVATION_ID",
    "__OW_API_HOST",
    "__OW_API_KEY",
    "__OW_DEADLINE",
    "__OW_NAMESPACE",
    "__OW_TRANSACTION_ID",
]

# Where our proxies differ from the recorded containers: (kind, case) -> why, and what is answered instead
DIFFERENCES: dict[tuple[str, str], tuple[str, list[tuple[tuple[str | int, ...], Any]]]] = {
    ("python", "exits"): (
        "the proxy is one process with the action and ends with it; OpenWhisk discards the container either way",
        [
            (("steps", 2, "status"), None),
            (("steps", 2, "body"), None),
            (("steps", 2, "content_length"), False),
            (("container_running_after",), False),
        ],
    ),
    ("python", "env at init and run"): (
        "__OW_EXECUTION_ENV, __OW_PROXY_VERSION and __OW_WAIT_FOR_ACK are the Go proxy's own settings",
        [(("steps", step, "body", "ow"), CONTEXT) for step in (1, 2)],
    ),
    ("python", "zip"): (
        "the Go proxy compiles the action into files of its own beside the zip's",
        [(("steps", 1, "body", "cwd"), ["__pycache__", "helper.py", "main__.py"])],
    ),
}


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: f"{record['image']}: {record['case']}")
def test_container_answers_as_recorded(record: dict[str, Any], start: Start) -> None:
    container = start(record["image"], __OW_API_HOST="http://127.0.0.1:3233")
    seen = copy.deepcopy(record)
    for step in seen["steps"]:
        request = {"value": {"x": "a" * 1048576}} if step["request"] == "large" else step["request"]
        step["status"], step["body"], step["content_length"] = container.post(step["post"], request)
    stays = expected(record)["container_running_after"]
    seen["container_running_after"] = not container.ends(0.2 if stays else 30)
    seen["stdout"], seen["stderr"] = container.outputs()
    assert normalised(seen) == normalised(expected(record))


def expected(record: dict[str, Any]) -> dict[str, Any]:
    record = copy.deepcopy(record)
    _, changes = DIFFERENCES.get((record["image"], record["case"]), ("", []))
    for (*path, last), value in changes:
        place: Any = record
        for part in path:
            place = place[part]
        place[last] = value
    return record


def normalised(value: Any) -> Any:
    """Without stack frames, folders and times of day."""
    if isinstance(value, dict):
        return {name: normalised(item) for name, item in value.items()}
    if isinstance(value, list):
        return [normalised(item) for item in value]
    if not isinstance(value, str):
        return value
    value = re.sub(r"(?m)^  .*(\n|\Z)", "", value).rstrip("\n")
    value = re.sub(r"(?m)^\d{4}/\d\d/\d\d \d\d:\d\d:\d\d ", "", value)
    return re.sub(r"\(/\S*/main__\.py\)", "(main__.py)", value)


def test_every_difference_is_of_a_recorded_case() -> None:
    assert set(DIFFERENCES) <= {(record["image"], record["case"]) for record in RECORDS}


# The ten cases of Apache OpenWhisk's BasicActionRunnerTests

SOURCES = {
    "python": {
        "echo": "import sys\ndef main(a):\n  print('hello stdout'); print('hello stderr', file=sys.stderr); return a",
        "none": "def main(a): return 'not a json object'",
        "other": "def niam(a): return a",
        "unicode": "def main(a):\n  s = a['delimiter'] + ' ☃ ' + a['delimiter']\n  print(s)\n  return {'winter': s}",
        "environment": "import os\ndef main(a): return {k: os.environ.get(k) for k in a['names']}",
    },
    "nodejs": {
        "echo": "function main(a) { console.log('hello stdout'); console.error('hello stderr'); return a }",
        "none": "function main(a) { return 'not a json object' }",
        "other": "function niam(a) { return a }",
        "unicode": "function main(a) {const s = `${a.delimiter} ☃ ${a.delimiter}`; console.log(s); return {winter: s}}",
        "environment": "function main(a) { return Object.fromEntries(a.names.map(k => [k, process.env[k]])) }",
    },
}


def init(code: str, **value: Any) -> dict[str, Any]:
    return {"value": {"name": "a", "main": "main", "binary": False, "code": code, **value}}


@pytest.mark.parametrize("kind", KINDS)
def test_init_without_source_is_refused(kind: str, start: Start) -> None:
    container = start(kind)
    assert container.post("/init", init("")) == (403, {"error": "Missing main/no code to execute."}, True)


@pytest.mark.parametrize("kind", KINDS)
def test_init_without_value_is_refused(kind: str, start: Start) -> None:
    assert start(kind).post("/init", {}) == (403, {"error": "Missing main/no code to execute."}, True)


@pytest.mark.parametrize("kind", KINDS)
def test_a_result_must_be_a_json_object(kind: str, initialized: Start) -> None:
    container = initialized(kind, SOURCES[kind]["none"])
    answer = container.post("/run", {"value": {}})
    assert (answer.status, list(answer.body), container.outputs()[0]) == (502, ["error"], SENTINEL)


@pytest.mark.parametrize("kind", KINDS)
def test_init_is_allowed_once(kind: str, initialized: Start) -> None:
    container = initialized(kind, SOURCES[kind]["echo"])
    answer = container.post("/init", init(SOURCES[kind]["echo"]))
    assert answer == (403, {"error": "Cannot initialize the action more than once."}, True)
    assert container.post("/run", {"value": {"a": 1}}).body == {"a": 1}


@pytest.mark.parametrize("kind", KINDS)
def test_the_entry_may_have_another_name(kind: str, initialized: Start) -> None:
    container = initialized(kind, SOURCES[kind]["other"], main="niam")
    assert container.post("/run", {"value": {"name": "value"}}) == (200, {"name": "value"}, True)


@pytest.mark.parametrize("kind", KINDS)
def test_logs_of_each_run_end_with_the_sentinel(kind: str, initialized: Start) -> None:
    container = initialized(kind, SOURCES[kind]["echo"])
    for argument in ({}, {"a": "A"}):
        assert container.post("/run", {"value": argument}).body == argument
    assert container.outputs() == (f"hello stdout\n{SENTINEL}" * 2, f"hello stderr\n{SENTINEL}" * 2)


@pytest.mark.parametrize("kind", KINDS)
def test_unicode_passes_through_result_and_log(kind: str, initialized: Start) -> None:
    container = initialized(kind, SOURCES[kind]["unicode"], environment={"LANG": "C"})
    assert container.post("/run", {"value": {"delimiter": "❄"}}).body == {"winter": "❄ ☃ ❄"}
    assert container.outputs() == (f"❄ ☃ ❄\n{SENTINEL}", SENTINEL)


@pytest.mark.parametrize("kind", KINDS)
def test_init_parameters_are_environment_variables(kind: str, initialized: Start) -> None:
    variables = {"SOME_VAR": "xyz", "ANOTHER_VAR": "1=2", "EMPTY": ""}
    container = initialized(kind, SOURCES[kind]["environment"], env=variables)
    assert container.post("/run", {"value": {"names": list(variables)}}).body == variables


@pytest.mark.parametrize("kind", KINDS)
def test_the_context_of_a_run_is_in_the_environment(kind: str, initialized: Start) -> None:
    container = initialized(kind, SOURCES[kind]["environment"], environment={"__OW_API_HOST": "xyz"})
    for turn in ("1", "2"):
        context = {name: name + turn for name in ("api_key", "namespace", "action_name", "activation_id", "deadline")}
        expected = {"__OW_API_HOST": "xyz"} | {f"__OW_{name.upper()}": value for name, value in context.items()}
        assert container.post("/run", {"value": {"names": list(expected)}, **context}).body == expected


@pytest.mark.parametrize("kind", KINDS)
def test_more_than_a_megabyte_of_input_passes(kind: str, initialized: Start) -> None:
    argument = {"a": "é" * 1_500_000}
    assert initialized(kind, SOURCES[kind]["echo"]).post("/run", {"value": argument}).body == argument
