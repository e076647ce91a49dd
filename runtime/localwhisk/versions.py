"""Versions of entities, as OpenWhisk's SemVer reads them: `1.0` is 1.0.0, and a fourth part is ignored."""

import re
from typing import Any

from localwhisk.errors import malformed

FIRST = "0.0.1"
MALFORMED = "semantic version malformed"
MOST = 2**31 - 1  # it keeps Ints


def parse(given: Any) -> str:
    """The version in full; refused unless its first three parts are numbers and not all 0."""
    if not isinstance(given, str):
        raise malformed(MALFORMED)
    parts = given.rstrip(".").split(".")  # Java's split drops empty parts at the end
    numbers = [_number(part) for part in parts[:3]] + [0] * (3 - len(parts))
    if not any(numbers):
        raise malformed(MALFORMED)
    return ".".join(map(str, numbers))


def following(version: str) -> str:
    """With the last number one more."""
    major, minor, patch = version.split(".")
    return f"{major}.{minor}.{int(patch) + 1}"


def _number(part: str) -> int:
    if not re.fullmatch(r"[+-]?\d{1,20}", part) or not 0 <= int(part) <= MOST:
        raise malformed(MALFORMED)
    return int(part)
