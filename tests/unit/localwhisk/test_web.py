"""Web actions: how a result becomes a response."""

import pytest

from localwhisk.errors import RequestError
from localwhisk.web import WebResponse, show, split_extension

TEXT, HTML, JSON = "text/plain; charset=UTF-8", "text/html; charset=UTF-8", "application/json"
PNG = {"content-type": "image/png"}


@pytest.mark.parametrize(("result", "extension", "expected"), [
    ({"body": "x"}, ".http", WebResponse(200, b"x", HTML)),
    ({"body": {"a": 1}}, ".http", WebResponse(200, b'{"a":1}', JSON)),
    ({"body": "AAEC", "headers": PNG}, ".http", WebResponse(200, b"\0\1\2", "image/png")),
    ({"body": "PHgvPg==", "headers": {"Content-Type": "image/svg+xml"}}, ".http",
     WebResponse(200, b"<x/>", "image/svg+xml")),
    ({"statusCode": "404"}, ".http", WebResponse(404)),
    ({}, ".http", WebResponse(204)),
    ({"headers": {"Set-Cookie": ["a=1", "b=2"], "X-N": 3, "X-B": True}}, ".http",
     WebResponse(204, headers=[("Set-Cookie", "a=1"), ("Set-Cookie", "b=2"), ("X-N", "3"), ("X-B", "true")])),
    ([1], ".json", WebResponse(200, b"[1]", JSON)),
    ({"text": 4}, ".text", WebResponse(200, b"4", TEXT)),
    ({"text": True}, ".text", WebResponse(200, b"true", TEXT)),
    ({"svg": "<svg/>"}, ".svg", WebResponse(200, b"<svg/>", "image/svg+xml")),
])  # fmt: skip
def test_responses(result, extension, expected):
    assert show(result, extension) == expected


@pytest.mark.parametrize(("result", "extension", "status", "text"), [
    ("x", ".json", 400, "Response is not valid 'application/json'."),
    ({"html": 3}, ".html", 400, "Response is not valid 'text/html'."),
    ({"other": 3}, ".text", 404, "Response does not include requested property."),
    ([1], ".http", 400, "Response is not valid 'message/http'."),
    ({"statusCode": "x"}, ".http", 400, "Response is not valid 'message/http'."),
    ({"statusCode": 700}, ".http", 400, "Response is not valid 'message/http'."),
    ({"headers": {"a": {}}}, ".http", 400, "Response is not valid 'message/http'."),
    ({"body": "*", "headers": PNG}, ".http", 400, "Response type in header did not match generated content type."),
    ({"body": {}, "headers": PNG}, ".http", 400, "Response type in header did not match generated content type."),
])  # fmt: skip
def test_what_is_no_response(result, extension, status, text):
    with pytest.raises(RequestError) as caught:
        show(result, extension)
    assert (caught.value.status, caught.value.message) == (status, text)


@pytest.mark.parametrize(("name", "expected"), [
    ("a", ("a", ".http")), ("a.json", ("a", ".json")), ("a.b.text", ("a.b", ".text")), ("a.xml", ("a.xml", ".http")),
])  # fmt: skip
def test_extensions(name, expected):
    assert split_extension(name) == expected
