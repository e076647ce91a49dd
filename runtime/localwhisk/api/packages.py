"""/packages: create, bind, read, list and delete."""

from starlette.requests import Request
from starlette.responses import Response

from localwhisk.access import may_read
from localwhisk.actions import KeyValues, is_truthy, provider_of
from localwhisk.api.body import read_definition
from localwhisk.api.context import answer, authorized, existing, flag, lookup, name_of, namespace_of, platform
from localwhisk.api.listing import list_entities
from localwhisk.auth import GUEST
from localwhisk.entities import Document, base, replaced, short
from localwhisk.errors import (
    BINDING_MISSING,
    BINDING_TO_BINDING,
    BINDING_TO_OTHER,
    CONFLICT,
    PACKAGE_TO_BINDING,
    RequestError,
    malformed,
    no_such,
    not_authorized,
)
from localwhisk.names import Name, check_segment
from localwhisk.store import Entity


async def put(request: Request) -> Response:
    authorized(request)
    name = name_of(request)
    if name.name == "default":
        raise RequestError(400, "Package name 'default' is reserved.")
    content = await read_definition(request, "binding")
    old = existing(request, "packages", name)
    if old is not None and not flag(request, "overwrite"):
        raise RequestError(409, CONFLICT)
    document = _document(request, name, content, old.document if old else None)
    platform(request).entities.put("packages", name, document)
    return answer(document)


async def get(request: Request) -> Response:
    """The package, with what it inherits and what it holds."""
    authorized(request)
    name = check_segment(request.path_params["name"])
    full = Name(namespace_of(request, name, shared=True), name)
    _check_access(request, full)
    package = lookup(request, "packages", full)
    provider, parameters = provider_of(platform(request).entities, package)
    return answer(package.document | {"parameters": parameters} | _contents(request, provider))


def _check_access(request: Request, package: Name) -> None:
    try:
        allowed = may_read(platform(request).entities, package, GUEST)
    except RequestError as error:
        raise (no_such(package) if error.status == 404 else error) from None
    if not allowed:
        raise not_authorized(str(package))


async def delete(request: Request) -> Response:
    authorized(request)
    name = name_of(request)
    package = lookup(request, "packages", name)
    entities = platform(request).entities
    actions = [] if package.document["binding"] else entities.list("actions", str(name))
    if actions and not flag(request, "force"):
        count = f"{len(actions)} {'entity' if len(actions) == 1 else 'entities'}"
        text = f"Package not empty (contains {count}). Set force param or delete package contents."
        raise RequestError(409, text)
    for action in actions:
        entities.delete(action.name)
    entities.delete(name)
    return answer(package.document)


async def list_all(request: Request) -> Response:
    """The caller's packages, or another namespace's published ones."""
    authorized(request)
    namespace = namespace_of(request, shared=True)

    def shown(package: Entity) -> bool:
        return namespace == GUEST or is_truthy(package.document["publish"])

    return list_entities(request, "packages", namespace, lambda document: short(document, "binding"), shown)


def _document(request: Request, name: Name, content: Document, old: Document | None) -> Document:
    binding = old["binding"] if old else {}
    annotations = [entry for entry in replaced(content, old, "annotations") if entry["key"] != "binding"]
    if content.get("binding"):
        if old is not None and not binding:
            raise RequestError(409, PACKAGE_TO_BINDING)
        binding = _binding(request, content["binding"])
    if binding:
        annotations = [*annotations, {"key": "binding", "value": binding}]
    document = base(name, content, old, annotations)
    return document | {"binding": binding, "parameters": replaced(content, old, "parameters")}


def _binding(request: Request, given: Document) -> Document:
    if not isinstance(given, dict) or not all(isinstance(given.get(part), str) for part in ("namespace", "name")):
        raise malformed("binding malformed")
    namespace = GUEST if given["namespace"] == "_" else given["namespace"]
    target = platform(request).entities.get(Name(namespace, given["name"]))
    if target is None:
        raise RequestError(400, BINDING_MISSING)
    if target.collection != "packages":
        raise RequestError(409, BINDING_TO_OTHER)
    if target.document["binding"]:
        raise RequestError(400, BINDING_TO_BINDING)
    if namespace != GUEST and not is_truthy(target.document["publish"]):
        raise not_authorized(f"{namespace}/{given['name']}")
    return {"namespace": namespace, "name": given["name"]}


def _contents(request: Request, provider: Name) -> Document:
    """Actions and feeds of a package, in short."""
    contents: dict[str, list[Document]] = {"actions": [], "feeds": []}
    for entity in platform(request).entities.list("actions", str(provider)):
        keep: KeyValues = entity.document["annotations"]
        entry = {"annotations": keep, "name": entity.name.name, "version": entity.document["version"]}
        is_feed = any(note["key"] == "feed" and is_truthy(note["value"]) for note in keep)
        contents["feeds" if is_feed else "actions"].append(entry)
    return dict(contents)
