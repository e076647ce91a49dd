"""localwhisk answers every recorded request as a real Apache OpenWhisk did (records.jsonl; its head says how)."""

import contextlib
import copy
import json
import re
import time
from pathlib import Path
from typing import Any

import pytest
import requests

FLAGS = ("--invocations-per-minute", "6000", "--fires-per-minute", "6000", "--user-memory", "8192")
LINES = (Path(__file__).parent / "records.jsonl").read_text().splitlines()
RECORDS: list[dict[str, Any]] = [json.loads(line) for line in LINES[1:]]
ID = re.compile(r"[0-9a-f]{32}")
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z +")
STOCK_PROXY = ("__OW_EXECUTION_ENV", "__OW_PROXY_VERSION", "__OW_WAIT_FOR_ACK")
REPEATED = re.compile(r"'(.)' repeated (\d+) times")


@pytest.fixture(scope="module")
def answers(host) -> dict[str, requests.Response]:
    """All requests, in their recorded order."""
    return {record["name"]: send(host, record["request"]) for record in RECORDS}


@pytest.mark.parametrize("record", RECORDS, ids=[record["name"] for record in RECORDS])
def test_as_recorded(record: dict[str, Any], answers: dict[str, requests.Response]) -> None:
    response = answers[record["name"]]
    assert response.status_code == record["status"], response.text
    got, expected = value(response), adapted(record)
    if record["compare"] == "types":
        got = types(got)
    elif record["compare"] == "these fields":
        got = {key: got.get(key) for key in expected}
    assert normal(got, expected) == sort_pairs(expected)
    for name, text in record.get("headers", {}).items():
        assert response.headers[name] == text


def adapted(record):
    """What is recorded, but for the environment: the stock image rebuilds it, ours keeps its own (and its PATH)."""
    if not record["name"].endswith("its environment") or record["request"]["method"] != "POST":
        return record["body"]
    body = copy.deepcopy(record["body"])
    result = body if "keys" in body else body["response"]["result"]
    result["keys"] = [key for key in result["keys"] if key not in STOCK_PROXY]
    result["path"] = "<volatile>"
    return body


def send(host, request: dict[str, Any]) -> requests.Response:
    if request["method"] == "REC":
        return stored(host, host.invoke(request["path"], request["body"]))
    headers = {"Content-Type": request.get("content_type", "application/json")}
    body = None
    if "raw" in request:
        body = request["raw"].encode()
    elif "body" in request:
        body = json.dumps(expand(request["body"])).encode()
    known = {"guest": host.client, "none": host.anonymous}
    with contextlib.ExitStack() as stack:
        client = known.get(request["auth"]) or stack.enter_context(host.client_as(request["auth"]))
        return client.request(request["method"], request["path"], data=body, headers=headers)


def stored(host, answer: requests.Response) -> requests.Response:
    """The record that is written after the answer."""
    path = f"/api/v1/namespaces/_/activations/{answer.json()['activationId']}"
    deadline = time.monotonic() + 5
    while (response := host.client.get(path)).status_code == 404 and time.monotonic() < deadline:
        time.sleep(0.02)
    return response


def expand(body: Any) -> Any:
    if isinstance(body, dict):
        return {key: expand(inner) for key, inner in body.items()}
    match = REPEATED.fullmatch(body) if isinstance(body, str) else None
    return match[1] * int(match[2]) if match else body


def value(response: requests.Response) -> Any:
    try:
        return response.json()
    except ValueError:
        return response.text


def normal(got: Any, expected: Any) -> Any:
    """The answer with what the record leaves open made equal to it, and lists of pairs in the record's order."""
    if expected == "<volatile>" and got is not None:
        return expected
    if isinstance(got, dict) and isinstance(expected, dict):
        return {key: normal(inner, expected.get(key)) for key, inner in got.items()}
    if isinstance(got, list):
        got = sort_pairs(last_of_traceback(got))
        others = sort_pairs(expected) if isinstance(expected, list) else []
        return [normal(inner, others[index] if index < len(others) else None) for index, inner in enumerate(got)]
    if isinstance(got, str):
        return TIME.sub("<time> ", "<id>" if ID.fullmatch(got) else got)[:3000]
    return got


def last_of_traceback(lines: list[Any]) -> list[Any]:
    if not any(isinstance(line, str) and "Traceback (most recent call last)" in line for line in lines):
        return lines
    return [line for line in lines if line.rstrip().rpartition(" stderr:")[2]][-1:]


def sort_pairs(body: Any) -> Any:
    if isinstance(body, dict):
        return {key: sort_pairs(inner) for key, inner in body.items()}
    if isinstance(body, list):
        if body and all(isinstance(entry, dict) and "key" in entry for entry in body):
            return sorted((sort_pairs(entry) for entry in body), key=lambda entry: str(entry["key"]))
        return [sort_pairs(entry) for entry in body]
    return body


def types(body: Any) -> Any:
    if isinstance(body, dict):
        return {key: types(inner) for key, inner in body.items()}
    if isinstance(body, list):
        return [types(entry) for entry in body[:1]]
    return type(body).__name__
