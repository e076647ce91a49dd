"""The API's Swagger document, made from the routes that there are."""

import re
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from localwhisk.api.context import answer

BASE = "/api/v1"
VERSION = "0.1.0"
METHODS = ("GET", "PUT", "DELETE", "POST")


async def document(request: Request) -> Response:
    """Paths, methods and parameters; the bodies are described in OpenWhisk's own document."""
    return answer(
        {
            "swagger": "2.0",
            "info": {"title": "OpenWhisk REST API", "description": "API for OpenWhisk", "version": VERSION},
            "produces": ["application/json"],
            "basePath": BASE,
            "securityDefinitions": {"basicAuth": {"type": "basic"}},
            "security": [{"basicAuth": []}],
            "paths": _paths([route for route in request.app.routes if isinstance(route, Route)]),
        }
    )


def _paths(routes: list[Route]) -> dict[str, dict[str, Any]]:
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        path = route.path.removeprefix(BASE)
        if path == route.path or not path or path.endswith("/") or ":path}" in path:
            continue
        names = re.findall(r"{(\w+)}", path)
        parameters = [{"name": name, "in": "path", "required": True, "type": "string"} for name in names]
        operation = {"parameters": parameters, "responses": {"default": {"description": "see `error` where it fails"}}}
        methods = [method.lower() for method in METHODS if method in (route.methods or ())]
        paths.setdefault(path, {}).update(dict.fromkeys(methods, operation))
    return paths
