"""/rules: create, read, list, delete, enable and disable. A rule's status is kept in its trigger."""

import json
from typing import Any

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from localwhisk import access
from localwhisk.actions import resolve
from localwhisk.api.body import read_definition, read_json
from localwhisk.api.context import answer, authorized, existing, flag, lookup, name_of, namespace_of, platform
from localwhisk.api.listing import list_entities
from localwhisk.auth import GUEST
from localwhisk.entities import Document, base, replaced
from localwhisk.errors import CONFLICT, RULE_INCOMPLETE, RequestError, malformed
from localwhisk.names import Name, parse_reference

SPRAY = {dict: "JsObject", list: "JsArray", str: "JsString", int: "JsNumber", float: "JsNumber", bool: "JsBoolean",
         type(None): "JsNull$"}  # fmt: skip


async def put(request: Request) -> Response:
    authorized(request)
    name = name_of(request)
    content = await read_definition(request, "trigger")
    old = existing(request, "rules", name)
    if old is not None and not flag(request, "overwrite"):
        raise RequestError(409, CONFLICT)
    before = old.document if old else None
    status = _status(request, before) if before else "active"
    document = _document(request, name, content, before)
    if before is not None:
        _unlink(request, before)
    _link(request, document, status)
    platform(request).entities.put("rules", name, document)
    return answer(document | {"status": status})


async def get(request: Request) -> Response:
    authorized(request)
    document = lookup(request, "rules", name_of(request)).document
    return answer(document | {"status": _status(request, document)})


async def delete(request: Request) -> Response:
    authorized(request)
    document = lookup(request, "rules", name_of(request)).document
    _unlink(request, document)
    platform(request).entities.delete(_full(document))
    return answer(document | {"status": "inactive"})


async def list_all(request: Request) -> Response:
    authorized(request)
    return list_entities(request, "rules", namespace_of(request), dict, lambda entity: True)


async def set_status(request: Request) -> Response:
    authorized(request)
    name = name_of(request)
    status = _wanted_status(await read_json(request))
    document = lookup(request, "rules", name).document
    if platform(request).entities.get(_name(document["trigger"])) is None:
        raise RequestError(404, "Only rules with existing triggers can be activated")
    _link(request, document, status)
    return PlainTextResponse("OK")


def _document(request: Request, name: Name, content: Document, old: Document | None) -> Document:
    trigger = _reference(content.get("trigger")) or (old and _name(old["trigger"]))
    action = _reference(content.get("action")) or (old and _name(old["action"]))
    access.check(platform(request).entities, [name for name in (trigger, action) if name], GUEST)
    if not trigger or not action:
        raise RequestError(400, RULE_INCOMPLETE)
    found = platform(request).entities.get(trigger)
    if found is None or found.collection != "triggers":
        raise RequestError(400, f"trigger /{trigger} does not exist")
    try:
        resolve(platform(request).entities, action)
    except RequestError:
        raise RequestError(400, f"action /{action} does not exist") from None
    document = base(name, content, old, replaced(content, old, "annotations"))
    return document | {"action": _short(action), "trigger": _short(trigger)}


def _wanted_status(content: Any) -> str:
    """The body's status, or what OpenWhisk's Scala says of what is none."""
    if not isinstance(content, dict):
        raise malformed(_no_match(content))
    if "status" not in content:
        raise malformed("key not found: status")
    if not isinstance(content["status"], str):
        raise malformed(_no_match(content["status"]))
    status = content["status"].strip()
    if not status:
        raise malformed("requirement failed: argument undefined")
    if status not in ("active", "inactive"):
        raise malformed(f"requirement failed: {status} is not a recognized rule state")
    return status


def _no_match(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return f"{text} (of class spray.json.{SPRAY[type(value)]})"


def _reference(given: Any) -> Name | None:
    """`/ns/name`, or {path, name} as rules are shown."""
    if isinstance(given, dict):
        given = f"/{given.get('path')}/{given.get('name')}"
    return parse_reference(given, GUEST) if given else None


def _status(request: Request, rule: Document) -> str:
    trigger = platform(request).entities.get(_name(rule["trigger"]))
    rules = trigger.document.get("rules", {}) if trigger else {}
    return str(rules.get(str(_full(rule)), {}).get("status", "inactive"))


def _link(request: Request, rule: Document, status: str) -> None:
    entities = platform(request).entities
    name = _name(rule["trigger"])
    trigger = lookup(request, "triggers", name).document
    rules = trigger.get("rules", {}) | {str(_full(rule)): {"action": rule["action"], "status": status}}
    entities.put("triggers", name, trigger | {"rules": rules})


def _unlink(request: Request, rule: Document) -> None:
    entities = platform(request).entities
    trigger = entities.get(_name(rule["trigger"]))
    if trigger is None or trigger.collection != "triggers":
        return
    others = {name: link for name, link in trigger.document.get("rules", {}).items() if name != str(_full(rule))}
    entities.put("triggers", trigger.name, trigger.document | {"rules": others})


def _full(rule: Document) -> Name:
    return Name(rule["namespace"], rule["name"])


def _name(reference: Document) -> Name:
    return Name(reference["path"], reference["name"])


def _short(name: Name) -> Document:
    return {"name": name.name, "path": name.path}
