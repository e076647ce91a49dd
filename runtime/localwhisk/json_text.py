"""JSON as it comes in, with the sentences OpenWhisk's parser (spray-json) has for what is none."""

import json
import re
from json import JSONDecodeError
from typing import Any

from localwhisk.errors import malformed

EXPECTED = {
    "Expecting value": "JSON Value",
    "Expecting property name enclosed in double quotes": "'\"'",
    "Illegal trailing comma before end of object": "'\"'",
    "Illegal trailing comma before end of array": "JSON Value",
    "Expecting ':' delimiter": "':'",
    "Extra data": "end-of-input",
}
ESCAPED_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")
RAW_SURROGATE = re.compile(rb"\xed[\xa0-\xbf][\x80-\xbf]")
REPLACEMENT = "\ufffd".encode()


def decode(text: bytes) -> str:
    """As UTF-8; what is none becomes U+FFFD, one for a surrogate as in Java."""
    return RAW_SURROGATE.sub(REPLACEMENT, text).decode(errors="replace")


def parse(text: bytes) -> Any:
    try:
        value = json.loads(decode(text), parse_constant=_refuse)
        if ESCAPED_SURROGATE.search(text):
            # half a surrogate pair is legal in JSON and has no UTF-8: a question mark takes its place, as in Java
            value = json.loads(json.dumps(value, ensure_ascii=False).encode(errors="replace"))
    except JSONDecodeError as error:
        raise malformed(_explain(error)) from None
    except ValueError as error:
        raise malformed(str(error)) from None
    except RecursionError:
        raise malformed("JSON input nested too deeply") from None
    return value


def _refuse(constant: str) -> None:
    raise ValueError(f"Unexpected constant {constant}, expected JSON Value")


def _explain(error: JSONDecodeError) -> str:
    """Where the text stops being JSON, with the line and a caret."""
    at_end = error.pos >= len(error.doc)
    found = "end-of-input" if at_end else f"character '{error.doc[error.pos]}'"
    place = f"at input index {error.pos} (line {error.lineno}, position {error.colno})"
    expected = EXPECTED.get(error.msg, "JSON Value")
    if error.msg == "Expecting ',' delimiter":
        expected = "'}'" if error.doc.rfind("{", 0, error.pos) > error.doc.rfind("[", 0, error.pos) else "']'"
    line = error.doc.split("\n")[error.lineno - 1]
    return f"Unexpected {found} {place}, expected {expected}:\n{line}\n{' ' * (error.colno - 1)}^\n"
