"""Firing a trigger: every rule's action is invoked by a request to this server itself, as OpenWhisk does."""

import asyncio
import json
from typing import Any

import aiohttp

from localwhisk.activations import APPLICATION_ERROR, SUCCESS, WHISK_ERROR
from localwhisk.errors import INTERNAL

Rules = dict[str, dict[str, Any]]


def active_rules(trigger: dict[str, Any]) -> list[str]:
    return [name for name, rule in trigger.get("rules", {}).items() if rule["status"] == "active"]


async def fire(
    client: aiohttp.ClientSession, address: str, headers: dict[str, str], rules: Rules, arguments: dict[str, Any]
) -> list[str]:
    """Invoke the actions of the active rules; the lines of the trigger's record, one a rule."""
    lines = [_post(client, address, headers, name, rule, arguments) for name, rule in rules.items()]
    return [json.dumps(line, separators=(",", ":")) for line in await asyncio.gather(*lines)]


async def _post(
    client: aiohttp.ClientSession,
    address: str,
    headers: dict[str, str],
    name: str,
    rule: dict[str, Any],
    arguments: dict[str, Any],
) -> dict[str, Any]:
    action = f"{rule['action']['path']}/{rule['action']['name']}"
    line = {"rule": name, "action": action}
    if rule["status"] != "active":
        error = f"Rule '{name}' is inactive, action '{action}' was not activated."
        return _judged(APPLICATION_ERROR, line | {"error": error})
    namespace, rest = action.split("/", 1)
    url = f"{address}/api/v1/namespaces/{namespace}/actions/{rest}"
    try:
        async with client.post(url, json=arguments, headers=headers) as response:
            status, answer = response.status, await response.json()
    except aiohttp.ClientError:
        return _judged(WHISK_ERROR, line | {"error": INTERNAL})
    if status in (200, 202):
        return _judged(SUCCESS, line | {"activationId": answer["activationId"]})
    return _judged(WHISK_ERROR if status >= 500 else APPLICATION_ERROR, line | {"error": answer["error"]})


def _judged(code: int, line: dict[str, Any]) -> dict[str, Any]:
    return {"statusCode": code, "success": code == SUCCESS} | line
