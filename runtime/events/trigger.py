"""Fires the trigger, and sees that its rule invoked something: where the namespace is over its rate, it cannot."""

import json
from typing import Any

import aiohttp
from tenacity import AsyncRetrying, retry_if_result, stop_after_attempt, wait_fixed

from events.settings import Settings

NAME = "dataset-uploaded"
TIMEOUT = aiohttp.ClientTimeout(total=30)
RECORD_TRIES = 50  # the record follows the fire after some tenths of a second
RECORD_PAUSE = 0.2  # seconds


class FireError(Exception):
    """Why an upload was not passed on, in one sentence."""


class Trigger:
    """The trigger `dataset-uploaded` of the deployment's namespace."""

    def __init__(self, settings: Settings, client: aiohttp.ClientSession) -> None:
        self._client = client
        self._namespace = f"{settings.api}/api/v1/namespaces/_"
        user, _, password = settings.key.partition(":")
        self._headers = {"Authorization": aiohttp.encode_basic_auth(user, password)}

    async def fire(self, event: dict[str, Any]) -> None:
        """Pass an event on; FireError when it started nothing."""
        url = f"{self._namespace}/triggers/{NAME}"
        async with self._client.post(url, json=event, headers=self._headers, timeout=TIMEOUT) as response:
            if response.status != 202:  # 204: no rule is active, so nobody was told
                raise FireError(f"trigger {NAME}: got {response.status}, expected 202")
            activation = (await response.json())["activationId"]
        rules = [json.loads(line) for line in await self._record(activation)]
        if rules and not any(rule["success"] for rule in rules):
            raise FireError(f"trigger {NAME}: got {rules[0].get('error')!r} from its rule, expected an activation")

    async def _record(self, activation: str) -> list[str]:
        """Return the lines of the fire's record, one a rule; none where no record comes."""
        tries = AsyncRetrying(
            retry=retry_if_result(lambda lines: lines is None),
            stop=stop_after_attempt(RECORD_TRIES),
            wait=wait_fixed(RECORD_PAUSE),
            retry_error_callback=lambda _: [],
        )
        lines: list[str] = await tries(self._lines, activation)
        return lines

    async def _lines(self, activation: str) -> list[str] | None:
        url = f"{self._namespace}/activations/{activation}"
        async with self._client.get(url, headers=self._headers, timeout=TIMEOUT) as response:
            if response.status != 200:
                return None
            record = await response.json()
        logs: list[str] = record["logs"]
        return logs
