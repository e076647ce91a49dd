"""Judging what a container answered: status and result of the activation."""

import pytest

from localwhisk.activations import APPLICATION_ERROR, DEVELOPER_ERROR, SUCCESS, Response, failure
from localwhisk.container import Reply
from localwhisk.judge import judge_init, judge_run

INVALID = "The action did not produce a valid JSON or JSON Array response"


def reply(status, text):
    return Reply(status, text.encode(), len(text.encode()))


@pytest.mark.parametrize(("status", "text", "expected"), [
    (200, '{"a": 1}', Response(SUCCESS, {"a": 1}, 8)),
    (200, "[1]", Response(SUCCESS, [1], 3)),
    (200, '{"error": null, "a": 1}', failure(APPLICATION_ERROR, None, 23)),
    (200, "null", failure(DEVELOPER_ERROR, f"{INVALID}: null", 4)),
    (200, "3", failure(DEVELOPER_ERROR, f"{INVALID}: 3", 1)),
    (200, "", failure(DEVELOPER_ERROR, f"{INVALID}.", 0)),
    (200, '{"a": NaN}', failure(DEVELOPER_ERROR, f'{INVALID}: {{"a": NaN}}', 10)),
    (502, '{"error": "no"}', failure(DEVELOPER_ERROR, "no", 15)),
    (400, '{"a": 1}', failure(DEVELOPER_ERROR, f'{INVALID}: {{"a": 1}}', 8)),
    (500, "[1]", failure(DEVELOPER_ERROR, f"{INVALID}: [1]", 3)),
])  # fmt: skip
def test_run(status, text, expected):
    assert judge_run(reply(status, text)) == expected


@pytest.mark.parametrize(("text", "error"), [
    ('{"error": {"x": 1}}', {"x": 1}),
    ("oops", "The action failed during initialization: oops"),
    ("", "The action failed during initialization."),
])  # fmt: skip
def test_init(text, error):
    assert judge_init(reply(502, text)) == failure(DEVELOPER_ERROR, error, len(text))
