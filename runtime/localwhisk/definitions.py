"""From the body of a PUT to an action: its code, kind and limits, its annotations and parameters."""

import re
from typing import Any

from localwhisk import access
from localwhisk.actions import KeyValues, digest, merge
from localwhisk.auth import GUEST
from localwhisk.entities import Document, base, key_values
from localwhisk.errors import (
    SEQUENCE_COMPONENT_MISSING,
    SEQUENCE_CYCLIC,
    SEQUENCE_EMPTY,
    SEQUENCE_TOO_LONG,
    TOO_MANY_INSTANCES,
    RequestError,
    malformed,
    too_large,
)
from localwhisk.kinds import Kinds
from localwhisk.names import Name, parse_reference
from localwhisk.settings import (
    CODE_LIMIT,
    MAX_LOGS,
    MIN_MEMORY,
    MIN_TIMEOUT,
    STD_LOGS,
    STD_MEMORY,
    STD_TIMEOUT,
    Settings,
)
from localwhisk.store import EntityStore

BASE64 = re.compile(r"[A-Za-z0-9+/]+={0,2}")  # with a length divisible by four
LIMITS = {
    "timeout": "time limit",
    "memory": "memory limit",
    "logs": "log limit",
    "concurrency": "intra concurrency limit",
    "instances": "instance concurrency limit",
}  # others that a body names are dropped
STANDARD_LIMITS = {"concurrency": 1, "logs": STD_LOGS, "memory": STD_MEMORY, "timeout": STD_TIMEOUT}


class Definitions:
    """Makes and updates actions within the platform's kinds and limits."""

    def __init__(self, settings: Settings, kinds: Kinds, store: EntityStore) -> None:
        self._settings = settings
        self._kinds = kinds
        self._store = store

    def supports(self, kind: str) -> bool:
        return self._kinds.resolve(kind) is not None

    def check(self, content: Document) -> None:
        """Refuse what is wrong by itself, whatever there is of this name."""
        execution = self._execution(content.get("exec"), GUEST)
        self._limits(content.get("limits") or {}, None)
        if execution is not None and execution["kind"] == "sequence":
            access.check(self._store, [parse_reference(item, GUEST) for item in execution["components"]], GUEST)

    def action(self, name: Name, content: Document, old: Document | None) -> Document:
        """The document of a new action, or of an old one with the body's changes."""
        execution = self._execution(content.get("exec"), name.namespace)
        limits = self._limits(content.get("limits") or {}, old)
        if execution is None and old is None:
            raise RequestError(400, "exec undefined")
        if execution is not None and execution["kind"] == "sequence":
            self._check_sequence(name, execution["components"])
        execution = execution or old["exec"]  # type: ignore[index]  # one of both is there
        document = base(name, content, old, _annotations(content, old, execution))
        document |= {"exec": execution, "limits": limits, "parameters": _parameters(content, old, execution)}
        return document | {"digest": digest(document)}

    def _execution(self, given: Any, namespace: str) -> Document | None:
        """The body's exec, checked and completed; None when the body has none."""
        if given is None:
            return None
        kind = given.get("kind") if isinstance(given, dict) else None
        if isinstance(given, dict) and not isinstance(given.get("main") or "", str):
            raise malformed("'main' must be a string defined in 'exec'")
        if not isinstance(kind, str):
            raise malformed("'kind' must be a string defined in 'exec'")
        if kind == "sequence":
            return _sequence(given, namespace)
        if kind == "blackbox":
            return _blackbox(given)
        return self._code(kind, given)

    def _code(self, kind: str, given: Document) -> Document:
        known = self._kinds.resolve(kind)
        if known is None:
            names = ", ".join(f"'{name}'" for name in [*self._kinds.by_name, "sequence", "blackbox"])
            text = f"The specified runtime '{kind}' is not supported by this platform. Valid values are: {names}."
            raise malformed(text)
        code = given.get("code")
        if not isinstance(code, str):
            raise malformed(f"'code' must be a string or attachment object defined in 'exec' for '{kind}' actions")
        _check_code(code)
        main = {"main": given["main"]} if given.get("main") else {}
        return {"kind": known.name, "code": code, "binary": _is_binary(code)} | main

    def _limits(self, given: Document, old: Document | None) -> dict[str, int]:
        """The body's limits over the old or standard ones."""
        if not isinstance(given, dict):
            raise malformed("limits malformed")
        limits = dict(old["limits"] if old else STANDARD_LIMITS)
        limits |= {key: _whole(what, given[key]) for key, what in LIMITS.items() if given.get(key) is not None}
        _check("duration", limits["timeout"], MIN_TIMEOUT, self._settings.max_timeout, " milliseconds")
        _check("memory size", limits["memory"], MIN_MEMORY, self._settings.max_memory, " MB")
        _check("log size", limits["logs"], 0, MAX_LOGS, " MB")
        _check("concurrency", limits["concurrency"], 1, 1, "")
        if limits.get("instances", 0) > self._settings.concurrent:
            raise RequestError(400, f"{TOO_MANY_INSTANCES} {self._settings.concurrent}.")
        return limits

    def _check_sequence(self, name: Name, components: list[str]) -> None:
        """A sequence's actions exist, are few enough with inner sequences unfolded, and do not lead back to it."""
        if not components:
            raise RequestError(400, SEQUENCE_EMPTY)
        if len(components) > self._settings.sequence_length:
            raise RequestError(400, SEQUENCE_TOO_LONG)
        if self._count_atomic(name, components) > self._settings.sequence_length:
            raise RequestError(400, SEQUENCE_TOO_LONG)

    def _count_atomic(self, sequence: Name, components: list[str]) -> int:
        count = 0
        for component in components:
            target = self._resolved(parse_reference(component, sequence.namespace))
            if target == sequence:
                raise RequestError(400, SEQUENCE_CYCLIC)
            entity = self._store.get(target)
            if entity is None or entity.collection != "actions":
                raise RequestError(400, SEQUENCE_COMPONENT_MISSING)
            inner = entity.document["exec"].get("components")
            count += 1 if inner is None else self._count_atomic(sequence, inner)
            if count > self._settings.sequence_length:
                break
        return count

    def _resolved(self, name: Name) -> Name:
        """The name behind a binding."""
        package = self._store.get(name.package) if name.package else None
        binding = package.document.get("binding") if package else None
        return Name(f"{binding['namespace']}/{binding['name']}", name.name) if binding else name


def _sequence(given: Document, namespace: str) -> Document:
    components = given.get("components")
    if not isinstance(components, list):
        raise malformed("'components' must be defined for sequence kind")
    return {"kind": "sequence", "components": [f"/{parse_reference(item, namespace)}" for item in components]}


def _blackbox(given: Document) -> Document:
    image = given.get("image")
    if not isinstance(image, str):
        raise malformed("'image' must be a string defined in 'exec' for 'blackbox' actions")
    document: Document = {"kind": "blackbox", "image": image, "binary": False}
    code = given.get("code")
    if isinstance(code, str) and code.strip():
        _check_code(code)
        document |= {"code": code, "binary": _is_binary(code)}
    if given.get("main"):
        document["main"] = given["main"]
    return document


def _annotations(content: Document, old: Document | None, execution: Document) -> KeyValues:
    """Merged key by key with the old ones; the kind is always noted, the key withheld unless asked for."""
    given = key_values(content, "annotations") or []
    removed = content.get("delAnnotations") or []
    if not isinstance(removed, list):
        raise malformed("delAnnotations malformed")
    if old is None:
        given = merge([{"key": "provide-api-key", "value": False}], given)
    else:
        given = merge([entry for entry in old["annotations"] if entry["key"] not in removed], given)
    return merge(given, [{"key": "exec", "value": execution["kind"]}])


def _parameters(content: Document, old: Document | None, execution: Document) -> KeyValues:
    if execution["kind"] == "sequence":
        return [{"key": "_actions", "value": execution["components"]}]
    given = key_values(content, "parameters")
    if given is not None:
        return given
    return old["parameters"] if old and old["exec"]["kind"] != "sequence" else []


def without_code(document: Document) -> Document:
    """The action as `?code=false` shows it."""
    execution = {key: value for key, value in document["exec"].items() if key != "code"}
    return document | {"exec": execution}


def _whole(what: str, value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise malformed(f"{what.removeprefix('intra ')} malformed")
    if value != value // 1:
        raise malformed(f"requirement failed: {what} must be whole number")
    return int(value)


def _check(what: str, value: int, least: int, most: int, unit: str) -> None:
    if value > most:
        raise RequestError(400, f"requirement failed: {what} {value}{unit} exceeds allowed threshold of {most}{unit}")
    if value < least:
        raise RequestError(400, f"requirement failed: {what} {value}{unit} below allowed threshold of {least}{unit}")


def _check_code(code: str) -> None:
    size = len(code.encode())
    if size > CODE_LIMIT:
        raise too_large("exec", size, CODE_LIMIT)


def _is_binary(code: str) -> bool:
    """Whether the code is a base64 archive: OpenWhisk judges by the text alone."""
    text = code.strip()
    return len(text) > 0 and len(text) % 4 == 0 and BASE64.fullmatch(text) is not None
