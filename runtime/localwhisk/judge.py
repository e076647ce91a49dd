"""What a container's answer means: the response of the activation that got it."""

import json
from typing import Any

from localwhisk.activations import APPLICATION_ERROR, DEVELOPER_ERROR, SUCCESS, Response, failure
from localwhisk.container import Reply
from localwhisk.settings import PAYLOAD_LIMIT


def judge_init(reply: Reply) -> Response:
    """The response of an activation whose /init was refused."""
    text = reply.body.decode(errors="replace")
    document = _parse(text)
    if isinstance(document, dict) and "error" in document:
        return failure(DEVELOPER_ERROR, document["error"], reply.length)
    return failure(DEVELOPER_ERROR, _with_text("The action failed during initialization", text), reply.length)


def judge_run(reply: Reply) -> Response:
    """The response of an activation whose /run was answered."""
    text = reply.body.decode(errors="replace")
    if reply.length > PAYLOAD_LIMIT:
        size = f"{reply.length} > {PAYLOAD_LIMIT} bytes"
        error = f"The action produced a response that exceeded the allowed length: {size}."
        return failure(APPLICATION_ERROR, f"{error} The truncated response was: {text}", reply.length)
    document = _parse(text)
    if isinstance(document, dict) and "error" in document:
        code = APPLICATION_ERROR if reply.status == 200 else DEVELOPER_ERROR
        return failure(code, document["error"], reply.length)
    if reply.status == 200 and isinstance(document, dict | list):
        return Response(SUCCESS, document, reply.length)
    error = _with_text("The action did not produce a valid JSON or JSON Array response", text)
    return failure(DEVELOPER_ERROR, error, reply.length)


def _parse(text: str) -> Any:
    """The JSON value, or None; NaN and Infinity are no JSON."""
    try:
        return json.loads(text, parse_constant=_refuse_constant)
    except ValueError:
        return None


def _refuse_constant(constant: str) -> None:
    raise ValueError(constant)


def _with_text(sentence: str, text: str) -> str:
    return f"{sentence}: {text}" if text else f"{sentence}."
