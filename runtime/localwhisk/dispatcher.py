"""Starts activations of any action: primitive ones go to the invoker, sequences and compositions unfold here."""

import asyncio
import secrets
from collections.abc import Coroutine
from typing import Any

from localwhisk.actions import Action
from localwhisk.activations import Record
from localwhisk.conductor import Accounting, Composition
from localwhisk.invoker import Invoker, Job
from localwhisk.sequence import AtomicCount, NotAnObjectError, Pending, Sequence
from localwhisk.store import ActivationStore, EntityStore


class Dispatcher:
    """Everything that is invoked passes here; throttles were checked before."""

    def __init__(
        self, entities: EntityStore, records: ActivationStore, invoker: Invoker, namespace: str, key: str, length: int
    ) -> None:
        self._entities = entities
        self._records = records
        self._invoker = invoker
        self._namespace = namespace
        self._key = key
        self._length = length  # actions in a sequence, components in a composition

    def invoke(self, action: Action, payload: Any, transaction: str) -> Pending:
        """What a request, or a rule's, asks for; a single action is told the request's transaction."""
        if action.components is not None:
            return self.sequence(action, payload, None)
        if action.is_conductor:
            return self.composition(action, payload, None, Accounting())
        return self.primitive(action, payload, None, transaction)

    def primitive(self, action: Action, payload: Any, cause: str | None, transaction: str | None = None) -> Pending:
        """One action; within a sequence or composition it has a transaction of its own."""
        arguments, environment = action.arguments(payload)
        done: asyncio.Future[Record] = asyncio.get_running_loop().create_future()
        transaction = transaction or secrets.token_hex(16)
        job = Job(action, self._namespace, self._key, arguments, environment, transaction, cause, done)
        self._invoker.submit(job)
        return Pending(job.id, done)

    def composition(self, action: Action, payload: Any, cause: str | None, accounting: Accounting) -> Pending:
        session = Composition(self, self._entities, action, self._namespace, self._length, cause, accounting)
        return self._keep(session.id, session.begun(), session.run(payload))

    def sequence(self, action: Action, payload: Any, cause: str | None) -> Pending:
        return self.inner_sequence(action, payload, cause, AtomicCount())

    def inner_sequence(self, action: Action, payload: Any, cause: str | None, count: AtomicCount) -> Pending:
        """A sequence whose actions count towards the length of the one around it."""
        session = Sequence(self, self._entities, self._namespace, self._length, cause, count)
        return self._keep(session.id, session.begun(action), session.run(action, payload))

    def executable(self, action: Action, payload: Any, cause: str) -> Pending:
        """Anything but a sequence."""
        if action.is_conductor:
            return self.composition(action, payload, cause, Accounting())
        return self.primitive(action, payload, cause)

    def _keep(self, activation: str, begun: Record, work: Coroutine[Any, Any, Record]) -> Pending:
        """Run to the end whoever waits, and store the record then."""
        self._records.begin(begun)
        task = asyncio.get_running_loop().create_task(work)
        task.add_done_callback(self._store)
        return Pending(activation, task)

    def _store(self, task: asyncio.Task[Record]) -> None:
        if task.cancelled() or isinstance(task.exception(), NotAnObjectError):
            return
        self._records.finish(task.result())
