"""The documents about the platform itself: root, API, ping, namespaces and their limits."""

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from localwhisk.api.context import answer, authorized, namespace_of, platform
from localwhisk.auth import GUEST
from localwhisk.settings import MAX_LOGS, MIN_MEMORY, MIN_TIMEOUT, PAYLOAD_LIMIT

MEGABYTE = 1_048_576
VERSION = "0.1.0"


async def root(request: Request) -> Response:
    """What the platform can do; wskdeploy reads its kinds here."""
    here = platform(request)
    settings = here.settings
    most = {"duration": settings.max_timeout, "logs": MAX_LOGS * MEGABYTE, "memory": settings.max_memory * MEGABYTE}
    least = {"duration": MIN_TIMEOUT, "logs": 0, "memory": MIN_MEMORY * MEGABYTE}
    limits = {
        "actions_per_minute": settings.invocations_per_minute,
        "triggers_per_minute": settings.fires_per_minute,
        "concurrent_actions": settings.concurrent,
        "sequence_length": settings.sequence_length,
    }
    for prefix in ("", "default_"):
        limits |= {f"{prefix}max_action_{name}": value for name, value in most.items()}
        limits |= {f"{prefix}min_action_{name}": value for name, value in least.items()}
    return answer(
        {
            "description": "OpenWhisk",
            "support": {
                "github": "https://github.com/apache/openwhisk/issues",
                "slack": "http://slack.openwhisk.org",
            },
            "api_paths": ["/api/v1"],
            "limits": limits,
            "runtimes": here.kinds.families(),
        }
    )


async def api(request: Request) -> Response:
    return answer(
        {
            "description": "OpenWhisk API",
            "api_version": "1.0.0",
            "api_version_path": "v1",
            "build": "localwhisk",
            "buildno": VERSION,
            "swagger_paths": {"ui": "/docs", "api-docs": "/api-docs"},
        }
    )


async def ping(request: Request) -> Response:
    return PlainTextResponse("pong")


async def options(request: Request) -> Response:
    """A browser's preflight; the headers it asks about are on every response."""
    return Response()


async def namespaces(request: Request) -> Response:
    authorized(request)
    return answer([GUEST])


async def limits(request: Request) -> Response:
    authorized(request)
    namespace_of(request)
    settings = platform(request).settings
    return answer(
        {
            "invocationsPerMinute": settings.invocations_per_minute,
            "concurrentInvocations": settings.concurrent,
            "firesPerMinute": settings.fires_per_minute,
            "maxActionConcurrency": 1,
            "maxActionInstances": settings.concurrent,
            "maxActionLogs": MAX_LOGS,
            "maxActionMemory": settings.max_memory,
            "maxActionTimeout": settings.max_timeout,
            "maxParameterSize": f"{PAYLOAD_LIMIT} B",
            "minActionConcurrency": 1,
            "minActionLogs": 0,
            "minActionMemory": MIN_MEMORY,
            "minActionTimeout": MIN_TIMEOUT,
        }
    )
