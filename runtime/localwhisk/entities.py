"""From the body of a PUT to a stored document: what actions, packages, triggers and rules have in common."""

import json
from typing import Any

from localwhisk.actions import KeyValues
from localwhisk.activations import now_ms
from localwhisk.errors import malformed, too_large
from localwhisk.names import Name
from localwhisk.settings import PAYLOAD_LIMIT
from localwhisk.versions import FIRST, following, parse

Document = dict[str, Any]


def key_values(content: Document, field: str) -> KeyValues | None:
    """Parameters or annotations of the body, each key once; None when the body has none."""
    given = content.get(field)
    if given is None:
        return None
    if not isinstance(given, list) or not all(_is_pair(entry) for entry in given):
        raise malformed(f"{field} malformed!")
    size = len(json.dumps(given, ensure_ascii=False, separators=(",", ":")).encode())
    if size > PAYLOAD_LIMIT:
        raise too_large(field, size, PAYLOAD_LIMIT)
    return list({entry["key"]: _entry(entry) for entry in given}.values())


def base(name: Name, content: Document, old: Document | None, annotations: KeyValues) -> Document:
    """Name, version, publication, annotations and time of a new or changed entity."""
    version = following(old["version"]) if old else FIRST
    if content.get("version") is not None:
        version = parse(content["version"])
    publish = content.get("publish")
    if publish is None:
        publish = old["publish"] if old else False
    if not isinstance(publish, bool):
        raise malformed("Expected JsBoolean, but got " + json.dumps(publish))
    return {
        "annotations": annotations,
        "name": name.name,
        "namespace": name.path,
        "publish": publish,
        "updated": now_ms(),
        "version": version,
    }


def replaced(content: Document, old: Document | None, field: str) -> KeyValues:
    """The body's values in place of the old ones, or these where the body has none."""
    given = key_values(content, field)
    if given is not None:
        return given
    return old[field] if old else []


def public(document: Document) -> Document:
    """The document without what only this program needs."""
    return {key: value for key, value in document.items() if key != "digest"}


def short(document: Document, *more: str) -> Document:
    """As a list shows an entity."""
    keep = ("annotations", "name", "namespace", "publish", "updated", "version", *more)
    return {key: document[key] for key in keep if key in document}


def _is_pair(entry: Any) -> bool:
    return isinstance(entry, dict) and isinstance(entry.get("key"), str)


def _entry(entry: Document) -> Document:
    clean = {"key": entry["key"], "value": entry.get("value")}
    return clean | {"init": True} if entry.get("init") else clean
