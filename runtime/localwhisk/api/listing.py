"""Lists of entities, the same for every collection."""

from collections.abc import Callable

from starlette.requests import Request
from starlette.responses import Response

from localwhisk.api.context import answer, flag, page, platform
from localwhisk.entities import Document
from localwhisk.store import Entity


def list_entities(
    request: Request, collection: str, path: str, show: Callable[[Document], Document], shown: Callable[[Entity], bool]
) -> Response:
    """The page of a collection under a namespace or package, or its size."""
    skip, limit = page(request, collection)
    found = [entity for entity in platform(request).entities.list(collection, path) if shown(entity)]
    if flag(request, "count"):
        return answer({collection: max(0, len(found) - skip)})
    return answer([show(entity.document) for entity in found[skip : skip + limit]])
