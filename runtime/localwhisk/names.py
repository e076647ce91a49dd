"""Names of entities, as paths, manifests and conductors write them."""

import re
from dataclasses import dataclass
from typing import Any

from localwhisk.errors import ILLEGAL_NAME, RejectionError, malformed

LONGEST = 256
SEGMENT = re.compile(r"\A([\w]|[\w][\w@ .&-]{0,254}[\w@.&-])\Z", re.ASCII)
TOO_SHORT = "The fully qualified name of the entity must contain at least the namespace and the name of the entity."


@dataclass(frozen=True)
class Name:
    """A fully qualified name: `path` is the namespace, or namespace/package."""

    path: str
    name: str

    @property
    def namespace(self) -> str:
        return self.path.split("/", 1)[0]

    @property
    def package(self) -> "Name | None":
        namespace, slash, package = self.path.partition("/")
        return Name(namespace, package) if slash else None

    def __str__(self) -> str:
        return f"{self.path}/{self.name}"


def check_segment(text: str) -> str:
    """A name's part as it came, refused when no entity could have it."""
    if len(text) > LONGEST:
        raise RejectionError(400, f"Name segement longer than allowed: {len(text)} > {LONGEST}.")  # [sic]
    if not SEGMENT.match(text):
        raise RejectionError(400, ILLEGAL_NAME)
    return text


def is_path(text: str) -> bool:
    """Whether the text is made of names: `/ns/pkg/act`, `pkg/act`, `act`."""
    return all(SEGMENT.match(part) for part in text.removeprefix("/").split("/"))


def parse_reference(text: Any, caller: str) -> Name:
    """The name in a request's body: `/ns/act`, `ns/act`, `/ns/pkg/act`, with `_` for the caller's namespace."""
    parts = str(text).removeprefix("/").split("/")
    if not isinstance(text, str) or not 2 <= len(parts) <= 3:
        raise malformed(TOO_SHORT)
    if not all(SEGMENT.match(part) for part in parts):
        raise malformed(ILLEGAL_NAME)
    namespace = caller if parts[0] == "_" else parts[0]
    return Name("/".join([namespace, *parts[1:-1]]), parts[-1])


def resolve_step(value: Any, caller: str) -> Name | None:
    """The action a conductor names: without a leading slash, two parts are package/action of the caller."""
    if not isinstance(value, str):
        return None
    parts = value.removeprefix("/").split("/")
    if not value.startswith("/") and len(parts) <= 2:
        parts = [caller, *parts]
    if not 2 <= len(parts) <= 3 or not all(SEGMENT.match(part) for part in parts):
        return None
    namespace = caller if parts[0] == "_" else parts[0]
    return Name("/".join([namespace, *parts[1:-1]]), parts[-1])
