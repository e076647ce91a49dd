"""Sequences: each action's result is the next one's input, until the end or the first error."""

import asyncio
from dataclasses import dataclass, field
from typing import Any, Protocol

from localwhisk.actions import Action, resolve
from localwhisk.activations import (
    APPLICATION_ERROR,
    SUCCESS,
    WHISK_ERROR,
    Record,
    Response,
    failure,
    new_id,
    now_ms,
)
from localwhisk.errors import SEQUENCE_COMPONENT_MISSING, SEQUENCE_FAILED, SEQUENCE_TOO_LONG, RequestError
from localwhisk.names import parse_reference
from localwhisk.store import EntityStore

EXTRA_WAIT = 60.0  # seconds beyond its timeout that a component is waited for, its time in the queue included


class NotAnObjectError(Exception):
    """A composition met an array where it needs an object: OpenWhisk gives up without a record."""


@dataclass(frozen=True)
class Pending:
    """An accepted activation and its coming record."""

    id: str
    done: asyncio.Future[Record]


@dataclass
class Part:
    """What a sequence or composition has gathered so far."""

    logs: list[str] = field(default_factory=list)
    duration: int = 0
    memory: int = 0

    def add(self, record: Record) -> None:
        self.logs.append(record.id)
        self.duration += record.duration or 0
        self.memory = max(self.memory, record.memory())


@dataclass
class AtomicCount:
    """Actions run so far below one topmost sequence, inner sequences' included."""

    value: int = 0


def compound_record(
    action: Action, activation: str, namespace: str, start: int, cause: str | None, response: Response, part: Part
) -> Record:
    """Record of a sequence or a composition; it has the longest memory and the sum of the durations of its parts."""
    annotations: dict[str, Any] = {"topmost": cause is None, "path": str(action.name), "kind": "sequence"}
    annotations["waitTime"] = 0  # it waits for nothing itself
    if action.is_conductor:
        annotations["conductor"] = True
    if cause is not None:
        annotations["causedBy"] = "sequence"
    if part.memory:
        annotations["limits"] = action.limits | {"memory": part.memory}
    if action.binding is not None:
        annotations["binding"] = action.binding
    return Record(
        id=activation, namespace=namespace, name=action.name.name, version=action.document["version"], start=start,
        response=response, path=action.path, end=now_ms(), duration=part.duration, cause=cause,
        annotations=annotations, logs=part.logs,
    )  # fmt: skip


class Starter(Protocol):
    """What a sequence asks of whoever started it."""

    def executable(self, action: Action, payload: Any, cause: str) -> Pending: ...
    def inner_sequence(self, action: Action, payload: Any, cause: str, count: AtomicCount) -> Pending: ...


class Sequence:
    """One running sequence."""

    def __init__(
        self, start: Starter, store: EntityStore, namespace: str, length: int, cause: str | None, count: AtomicCount
    ) -> None:
        self.id = new_id()
        self._start = start
        self._store = store
        self._namespace = namespace
        self._length = length
        self._cause = cause
        self._count = count
        self._part = Part()

    async def run(self, action: Action, payload: Any) -> Record:
        start = now_ms()
        response = Response(SUCCESS, payload or {})
        for component in action.components or []:
            response = await self._step(component, response.result)
            if response.code != SUCCESS or (isinstance(response.result, dict) and "error" in response.result):
                break
        return compound_record(action, self.id, self._namespace, start, self._cause, response, self._part)

    def begun(self, action: Action) -> Record:
        """What is known while it runs."""
        part = Part(memory=action.limits["memory"])
        response = Response(SUCCESS, {})
        return compound_record(action, self.id, self._namespace, now_ms(), self._cause, response, part)

    async def _step(self, component: str, payload: Any) -> Response:
        if self._count.value >= self._length:
            return failure(APPLICATION_ERROR, SEQUENCE_TOO_LONG)
        try:
            action = resolve(self._store, parse_reference(component, self._namespace))
        except RequestError:
            return failure(APPLICATION_ERROR, SEQUENCE_COMPONENT_MISSING)
        try:
            record = await self._component(action, payload)
        except NotAnObjectError:
            return failure(WHISK_ERROR, SEQUENCE_FAILED)
        if isinstance(record, str):
            self._part.logs.append(record)
            text = f"Timeout reached when retrieving activation {record} for sequence component."
            return failure(WHISK_ERROR, text)
        self._part.add(record)
        return record.response

    async def _component(self, action: Action, payload: Any) -> Record | str:
        """The component's record, or its id when it did not come in time."""
        if action.components is not None:
            return await self._start.inner_sequence(action, payload, self.id, self._count).done
        self._count.value += 1
        pending = self._start.executable(action, payload, self.id)
        wait = None if action.is_conductor else action.timeout + EXTRA_WAIT
        try:
            return await asyncio.wait_for(asyncio.shield(pending.done), wait)
        except TimeoutError:
            return pending.id
