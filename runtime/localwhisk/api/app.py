"""The ASGI application: routes, and refusals as OpenWhisk words them."""

import logging
from collections.abc import Awaitable, Callable

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from localwhisk.api import actions, activations, namespaces, packages, rules, swagger, triggers, web
from localwhisk.api.context import answer, transaction
from localwhisk.api.transactions import Transactions
from localwhisk.errors import INTERNAL, NOT_FOUND, RequestError
from localwhisk.platform import Platform

Handler = Callable[[Request], Awaitable[Response]]
NS = "/api/v1/namespaces/{namespace}"
WEB = "/api/v1/web/{namespace}/{package}/{name}"
WEB_METHODS = ["GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS"]
STATUS_TEXT = {404: NOT_FOUND, 405: "HTTP method not allowed.", 500: INTERNAL}
log = logging.getLogger("localwhisk")


def build(running: Platform) -> Starlette:
    app = Starlette(
        routes=_routes(),
        middleware=[Middleware(Transactions)],
        exception_handlers={RequestError: _refuse, HTTPException: _refuse_http, Exception: _fail},
    )
    app.router.redirect_slashes = False
    app.state.platform = running
    return app


def _routes() -> list[Route]:
    action = f"{NS}/actions/{{name}}"
    packaged = f"{NS}/actions/{{package}}/{{name}}"
    return [
        *_get("/", namespaces.root),
        *_get("/ping", namespaces.ping),
        *_get("/api/v1", namespaces.api),
        *_get("/api/v1/", namespaces.api),
        *_get("/api/v1/api-docs", swagger.document),
        *_get("/api/v1/namespaces", namespaces.namespaces),
        *_get(f"{NS}/limits", namespaces.limits),
        *_get(f"{NS}/actions", actions.list_all),
        *_get(f"{NS}/actions/", actions.list_all),
        *_get(f"{NS}/actions/{{package}}/", actions.list_package),
        *_entity(action, actions.put, actions.get, actions.delete, actions.invoke),
        *_entity(packaged, actions.put, actions.get, actions.delete, actions.invoke),
        *_get(f"{NS}/packages", packages.list_all),
        *_entity(f"{NS}/packages/{{name}}", packages.put, packages.get, packages.delete),
        *_get(f"{NS}/triggers", triggers.list_all),
        *_entity(f"{NS}/triggers/{{name}}", triggers.put, triggers.get, triggers.delete, triggers.activate),
        *_get(f"{NS}/rules", rules.list_all),
        *_entity(f"{NS}/rules/{{name}}", rules.put, rules.get, rules.delete, rules.set_status),
        *_get(f"{NS}/activations", activations.list_all),
        *_get(f"{NS}/activations/{{id}}", activations.get),
        *_get(f"{NS}/activations/{{id}}/logs", activations.get_logs),
        *_get(f"{NS}/activations/{{id}}/result", activations.get_result),
        Route(WEB, web.invoke, methods=WEB_METHODS),
        Route(WEB + "/{rest:path}", web.invoke, methods=WEB_METHODS),
        Route("/api/v1/{rest:path}", namespaces.options, methods=["OPTIONS"]),
    ]


def _get(path: str, handler: Handler) -> list[Route]:
    return [Route(path, handler, methods=["GET"])]


def _entity(path: str, put: Handler, get: Handler, delete: Handler, post: Handler | None = None) -> list[Route]:
    routes = [
        Route(path, put, methods=["PUT"]),
        Route(path, get, methods=["GET"]),
        Route(path, delete, methods=["DELETE"]),
    ]
    return routes if post is None else [*routes, Route(path, post, methods=["POST"])]


async def _refuse(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestError)
    return _error(request, error.status, error.message)


async def _refuse_http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    # the path of the preflight's route matches anything: only it may be asked for what does not exist
    only_preflight = error.status_code == 405 and "rest" in request.path_params
    status = 404 if only_preflight else error.status_code
    return _error(request, status, STATUS_TEXT.get(status, error.detail))


async def _fail(request: Request, error: Exception) -> Response:
    log.error("%s %s", request.method, request.url.path, exc_info=error)
    return _error(request, 500, INTERNAL)


def _error(request: Request, status: int, message: str) -> Response:
    code = transaction(request)
    headers = {"www-authenticate": 'Basic realm="OpenWhisk secure realm"'} if status == 401 else None
    return answer({"error": message, "code": code}, status, headers)
