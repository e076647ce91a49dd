"""Compositions: a conductor action names the next action to run, again and again, within a shared budget."""

import asyncio
import json
from dataclasses import dataclass
from typing import Any, Protocol

from localwhisk import access
from localwhisk.actions import Action, resolve
from localwhisk.activations import APPLICATION_ERROR, SUCCESS, WHISK_ERROR, Record, Response, failure, new_id, now_ms
from localwhisk.errors import COMPOSITION_FAILED, COMPOSITION_TOO_LONG, RequestError
from localwhisk.names import Name, resolve_step
from localwhisk.sequence import EXTRA_WAIT, NotAnObjectError, Part, Pending, compound_record
from localwhisk.store import EntityStore


@dataclass
class Accounting:
    """Runs so far of one composition and those nested in it directly."""

    components: int = 0
    conductors: int = 0


class Starter(Protocol):
    """What a composition asks of whoever started it."""

    def primitive(self, action: Action, payload: Any, cause: str | None) -> Pending: ...
    def composition(self, action: Action, payload: Any, cause: str | None, accounting: Accounting) -> Pending: ...
    def sequence(self, action: Action, payload: Any, cause: str | None) -> Pending: ...


class EndedError(Exception):
    """The composition cannot go on; its conductor is not asked again."""

    def __init__(self, response: Response) -> None:
        super().__init__(response)
        self.response = response


class Composition:
    """One running composition."""

    def __init__(
        self, start: Starter, store: EntityStore, action: Action, namespace: str, length: int, cause: str | None,
        accounting: Accounting,
    ) -> None:  # fmt: skip
        self.id = new_id()
        self._start = start
        self._store = store
        self._action = action
        self._namespace = namespace
        self._length = length
        self._cause = cause
        self._accounting = accounting
        self._begun = now_ms()
        self._state: dict[str, Any] | None = None
        self._part = Part(memory=action.limits["memory"])

    async def run(self, payload: Any) -> Record:
        try:
            response = await self._unfold(payload)
        except EndedError as end:
            response = end.response
        return self._record(response)

    def begun(self) -> Record:
        """What is known while it runs."""
        return self._record(Response(SUCCESS, {}))

    async def _unfold(self, payload: Any) -> Response:
        """Conductor and components in turn, until the conductor names none."""
        while True:
            if self._accounting.conductors > 2 * self._length:
                return failure(APPLICATION_ERROR, COMPOSITION_TOO_LONG)
            self._accounting.conductors += 1
            record = await self._conduct(payload)
            result = record.response.result
            if not isinstance(result, dict):
                raise NotAnObjectError(record.id)
            parameters = _boxed(result, "params", "value")
            self._state = _boxed(result, "state", "state")
            if "action" not in result:
                return Response(record.response.code, result if parameters is None else parameters)
            payload = await self._step(result["action"], parameters)

    async def _conduct(self, payload: Any) -> Record:
        if self._state is not None:
            payload = (payload or {}) | self._state
        pending = self._start.primitive(self._action, payload, self.id)
        return await self._wait(pending, self._action.timeout + EXTRA_WAIT)

    async def _step(self, value: Any, parameters: dict[str, Any] | None) -> dict[str, Any]:
        """Run the action that the conductor names; its result, or the reason why there is none."""
        name = resolve_step(value, self._namespace)
        if name is None:
            text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
            return {"error": f"Failed to parse action name from json value {text} during composition."}
        if self._accounting.components >= self._length:
            return {"error": COMPOSITION_TOO_LONG}
        try:
            access.check(self._store, [name], self._namespace)
        except RequestError:
            return {"error": f"Failed entitlement check for action with name '{name}' during composition."}
        return await self._component(name, parameters)

    async def _component(self, name: Name, parameters: dict[str, Any] | None) -> dict[str, Any]:
        unresolved = {"error": f"Failed to resolve action with name '{name}' during composition."}
        try:
            action = resolve(self._store, name)
        except RequestError:
            return unresolved
        record = await self._invoke(action, parameters)
        # an array ends up in the same handler as a missing action, in OpenWhisk too
        return record.response.result if isinstance(record.response.result, dict) else unresolved

    async def _invoke(self, action: Action, parameters: dict[str, Any] | None) -> Record:
        if action.is_conductor:
            return await self._wait(self._start.composition(action, parameters, self.id, self._accounting), None)
        self._accounting.components += 1
        if action.components is not None:
            return await self._wait(self._start.sequence(action, parameters, self.id), None)
        pending = self._start.primitive(action, parameters, self.id)
        return await self._wait(pending, action.timeout + EXTRA_WAIT)

    async def _wait(self, pending: Pending, seconds: float | None) -> Record:
        try:
            record = await asyncio.wait_for(asyncio.shield(pending.done), seconds)
        except TimeoutError:
            text = f"Timeout reached when retrieving activation {pending.id} during composition."
            raise EndedError(failure(WHISK_ERROR, text)) from None
        except NotAnObjectError:
            raise EndedError(failure(WHISK_ERROR, COMPOSITION_FAILED)) from None
        self._part.add(record)
        return record

    def _record(self, response: Response) -> Record:
        return compound_record(self._action, self.id, self._namespace, self._begun, self._cause, response, self._part)


def _boxed(result: dict[str, Any], field: str, box: str) -> dict[str, Any] | None:
    """The field as an object; None when it is absent."""
    if field not in result:
        return None
    value = result[field]
    return value if isinstance(value, dict) else {box: value}
