"""The ASGI application: routes, and refusals as OpenWhisk words them."""

import logging

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from localwhisk.api import actions, activations, namespaces, packages, rules, swagger, triggers, web
from localwhisk.api.context import answer, authorized, transaction
from localwhisk.api.negotiation import Handler, negotiated
from localwhisk.api.transactions import API, Transactions
from localwhisk.errors import INTERNAL, NO_ROUTE, RejectionError, RequestError
from localwhisk.platform import Platform

NS = "/api/v1/namespaces/{namespace}"
WEB = "/api/v1/web/{namespace}/{package}/{name}"
WEB_METHODS = ["GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS"]
log = logging.getLogger("localwhisk")


def build(running: Platform) -> Starlette:
    app = Starlette(
        routes=_routes(),
        middleware=[Middleware(Transactions)],
        exception_handlers={RequestError: _refuse, HTTPException: _refuse_route, Exception: _fail},
    )
    app.router.redirect_slashes = False
    app.state.platform = running
    return app


def _routes() -> list[Route]:
    action = f"{NS}/actions/{{name}}"
    packaged = f"{NS}/actions/{{package}}/{{name}}"
    record = f"{NS}/activations/{{id}}"
    return [
        *_get("/", namespaces.root),
        *_get("/ping", namespaces.ping),
        *_collection("/api/v1", namespaces.api),
        *_collection("/api/v1/api-docs", swagger.document),
        *_collection("/api/v1/namespaces", namespaces.namespaces),
        *_collection(f"{NS}/limits", namespaces.limits),
        *_collection(f"{NS}/actions", actions.list_all),
        *_get(f"{NS}/actions/{{package}}/", actions.list_package),
        *_entity(action, actions.put, actions.get, actions.delete, actions.invoke),
        *_entity(packaged, actions.put, actions.get, actions.delete, actions.invoke),
        *_collection(f"{NS}/packages", packages.list_all),
        *_entity(f"{NS}/packages/{{name}}", packages.put, packages.get, packages.delete),
        *_collection(f"{NS}/triggers", triggers.list_all),
        *_entity(f"{NS}/triggers/{{name}}", triggers.put, triggers.get, triggers.delete, triggers.activate),
        *_collection(f"{NS}/rules", rules.list_all),
        *_entity(f"{NS}/rules/{{name}}", rules.put, rules.get, rules.delete),
        Route(f"{NS}/rules/{{name}}", rules.set_status, methods=["POST"]),  # its OK is not negotiated
        *_collection(f"{NS}/activations", activations.list_all),
        *_collection(record, activations.get),
        *_get(f"{record}/logs", activations.get_logs),
        *_get(f"{record}/result", activations.get_result),
        Route(WEB, negotiated(web.invoke), methods=WEB_METHODS),
        Route(WEB + "/{rest:path}", negotiated(web.invoke), methods=WEB_METHODS),
        Route("/{rest:path}", namespaces.options, methods=["OPTIONS"]),
    ]


def _get(path: str, handler: Handler) -> list[Route]:
    return [Route(path, negotiated(handler), methods=["GET"])]


def _collection(path: str, handler: Handler) -> list[Route]:
    """With or without a slash at the end."""
    return [*_get(path, handler), *_get(f"{path}/", handler)]


def _entity(path: str, put: Handler, get: Handler, delete: Handler, post: Handler | None = None) -> list[Route]:
    handlers = {"PUT": put, "GET": get, "DELETE": delete} | ({"POST": post} if post else {})
    return [Route(path, negotiated(handler), methods=[method]) for method, handler in handlers.items()]


async def _refuse(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestError)
    return _error(request, error)


async def _refuse_route(request: Request, error: Exception) -> Response:
    """What no route takes: in the API the last one takes any path and method, but only to find nothing there."""
    assert isinstance(error, HTTPException)
    path = request.url.path
    if path == API or path.startswith(f"{API}/"):
        try:
            authorized(request)
        except RequestError as refusal:
            return _error(request, refusal)
        return _error(request, RejectionError(404, NO_ROUTE))
    allowed = ", ".join(["GET"] * (path in ("/", "/ping")) + ["OPTIONS"])
    text = f"HTTP method not allowed, supported methods: {allowed}"
    return _error(request, RejectionError(405, text, {"allow": allowed}))


async def _fail(request: Request, error: Exception) -> Response:
    log.error("%s %s", request.method, request.url.path, exc_info=error)
    return _error(request, RequestError(500, INTERNAL))


def _error(request: Request, error: RequestError) -> Response:
    request.state.bare = isinstance(error, RejectionError)
    return answer({"error": error.message, "code": transaction(request)}, error.status, error.headers)
