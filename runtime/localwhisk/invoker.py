"""Runs one primitive activation: gets a container, initializes and runs it, judges the answer, keeps the record."""

import asyncio
import json
import logging
import time
from dataclasses import dataclass, field
from typing import Any

from localwhisk.actions import Action, is_truthy
from localwhisk.activations import (
    APPLICATION_ERROR,
    DEVELOPER_ERROR,
    SUCCESS,
    WHISK_ERROR,
    Record,
    Response,
    failure,
    new_id,
)
from localwhisk.container import Container, LostError, Reply, TimeLimitError
from localwhisk.judge import judge_init, judge_run
from localwhisk.kinds import Kinds
from localwhisk.limits import ConcurrencyThrottle
from localwhisk.pool import Pool, Wanted
from localwhisk.settings import PAYLOAD_LIMIT, Settings
from localwhisk.store import ActivationStore

MEMORY_EXHAUSTED = "The action exhausted its memory and was aborted."
ABNORMAL_INIT = "The action did not initialize and exited unexpectedly."
ABNORMAL_RUN = "The action did not produce a valid response and exited unexpectedly."
NO_RESOURCES = "Failed to provision resources to run the action."
LIMITS_EXCEEDED = "Action limit exceeded the system limit."
SHUTTING_DOWN = 503
MEGABYTE = 1_048_576
log = logging.getLogger("localwhisk")


class UnhealthyError(Exception):
    """The container shuts down (503), or died before it was asked: the activation goes to another one."""


@dataclass
class Job:
    """A primitive activation that was accepted; `done` gets its record, without logs, as soon as there is one."""

    action: Action
    namespace: str
    key: str
    arguments: Any
    environment: dict[str, str]
    transaction: str
    cause: str | None
    done: asyncio.Future[Record]
    id: str = field(default_factory=new_id)
    created: float = field(default_factory=time.time)


@dataclass
class Outcome:
    """What happened in the container; times are epoch seconds."""

    start: float
    response: Response = field(default_factory=lambda: failure(WHISK_ERROR, NO_RESOURCES))
    init_time: int | None = None
    end: float = 0.0
    timed_out: bool = False
    answered: bool = False  # the proxy answered last, so it wrote the sentinels
    abnormal: bool = True  # the action was not initialized, or did not answer /run

    @property
    def healthy(self) -> bool:
        return self.response.code in (SUCCESS, APPLICATION_ERROR)


class Invoker:
    """Runs jobs; the concurrency throttle counts each from its acceptance until its logs are collected."""

    def __init__(
        self, settings: Settings, pool: Pool, kinds: Kinds, records: ActivationStore, concurrency: ConcurrencyThrottle
    ) -> None:
        self._settings = settings
        self._pool = pool
        self._kinds = kinds
        self._records = records
        self._concurrency = concurrency
        self._tasks: set[asyncio.Task[None]] = set()

    def submit(self, job: Job) -> None:
        if self._exceeds(job.action):
            response = failure(APPLICATION_ERROR, LIMITS_EXCEEDED)
            record = _record(job, Outcome(job.created, response, end=job.created))
            self._records.finish(record)
            job.done.set_result(record)
            return
        self._concurrency.active += 1
        self._records.begin(_record(job, Outcome(job.created)))
        task = asyncio.get_running_loop().create_task(self._process(job))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _exceeds(self, action: Action) -> bool:
        """Whether the action was made when more was allowed."""
        limits = action.limits
        return limits["memory"] > self._settings.max_memory or limits["timeout"] > self._settings.max_timeout

    async def _process(self, job: Job) -> None:
        try:
            container, outcome = await self._attempt(job)
            while outcome is None:
                container, outcome = await self._attempt(job)
            await self._complete(job, container, outcome)
        except Exception as error:
            if not job.done.done():
                job.done.set_exception(error)
            raise
        finally:
            self._concurrency.active -= 1

    async def _attempt(self, job: Job) -> tuple[Container, Outcome | None]:
        """One container's outcome; None where it was unhealthy, for which no activation is to blame."""
        container = await self._pool.acquire(self._wanted(job.action, job.namespace))
        try:
            return container, await self._execute(job, container)
        except UnhealthyError:
            self._pool.discard(container)
            return container, None
        except Exception:
            self._pool.discard(container)
            raise

    def close(self) -> None:
        """Give up what runs: a successor records it as lost."""
        for task in self._tasks:
            task.cancel()

    def _wanted(self, action: Action, namespace: str) -> Wanted:
        kind = self._kinds.resolve(action.kind)
        image = kind.image if kind else action.document["exec"]["image"]
        owner = (namespace, action.digest)
        return Wanted(owner, image, kind.name if kind else None, action.limits["memory"], str(action.name))

    async def _complete(self, job: Job, container: Container, outcome: Outcome) -> None:
        """Answer, collect the logs, free the container, store: in OpenWhisk's order."""
        record = _record(job, outcome)
        logs_limit = job.action.limits["logs"] * MEGABYTE
        if logs_limit == 0 or not container.started:
            self._free(container, outcome.healthy)
            job.done.set_result(record)
        else:
            self._records.answered(record)
            job.done.set_result(record)
            lines, whole = await container.logs.collect(logs_limit, outcome.answered, outcome.abnormal)
            container.logs.skip()
            self._free(container, outcome.healthy and whole)
            record = _record(job, outcome)
            record.logs = lines
        self._records.finish(record)

    def _free(self, container: Container, healthy: bool) -> None:
        if healthy:
            container.logs.skip()
            self._pool.release(container)
        else:
            self._pool.discard(container)

    async def _execute(self, job: Job, container: Container) -> Outcome:
        outcome = Outcome(time.time())
        if container.launch is None:
            image = container.image
            outcome.response = failure(DEVELOPER_ERROR, f"Failed to pull container image '{image}'.")
        elif not container.launch.executable:
            outcome.response = failure(DEVELOPER_ERROR, f"executable file not found in image {container.image}")
        elif container.started or await _start(container):
            outcome.start = time.time()
            if container.owner is not None:
                _check_health(container)
                await self._run(job, container, outcome)
            elif await self._initialize(job, container, outcome):
                await self._run(job, container, outcome)
        outcome.end = time.time()
        return outcome

    async def _initialize(self, job: Job, container: Container, outcome: Outcome) -> bool:
        """Post /init; True when the container can run the action."""
        execution = job.action.document["exec"]
        value = {
            "name": job.action.name.name,
            "main": execution.get("main", "main"),
            "binary": execution.get("binary", False),
            "env": job.environment | _variables(job),
        }
        if "code" in execution:
            value["code"] = execution["code"]
        reply = await self._post(job, container, outcome, "/init", {"value": value})
        outcome.init_time = _milliseconds(outcome.start, time.time())
        if reply is None:
            return False
        if reply.status != 200:
            outcome.response = judge_init(reply)
            outcome.answered = True
            return False
        container.owner = (job.namespace, job.action.digest)
        return True

    async def _run(self, job: Job, container: Container, outcome: Outcome) -> None:
        body = {"value": job.arguments} | {
            key.removeprefix("__OW_").lower(): value for key, value in _variables(job).items()
        }
        reply = await self._post(job, container, outcome, "/run", body)
        if reply is not None:
            outcome.response = judge_run(reply)
            outcome.answered, outcome.abnormal = True, False

    async def _post(self, job: Job, container: Container, outcome: Outcome, path: str, body: Any) -> Reply | None:
        """Post, and turn a time-out or the container's end into the response."""
        timeout = job.action.timeout
        try:
            reply = await container.post(path, _encode(body), timeout, PAYLOAD_LIMIT)
            if reply.status == SHUTTING_DOWN:
                raise UnhealthyError
            return reply
        except TimeLimitError:
            outcome.timed_out = True
            during = " during initialization." if path == "/init" else "."
            text = f"The action exceeded its time limits of {job.action.limits['timeout']} milliseconds{during}"
        except LostError:
            abnormal = ABNORMAL_INIT if path == "/init" else ABNORMAL_RUN
            text = MEMORY_EXHAUSTED if await container.out_of_memory() else abnormal
        outcome.response = failure(DEVELOPER_ERROR, text)
        return None


def _record(job: Job, outcome: Outcome) -> Record:
    action = job.action
    annotations: dict[str, Any] = {
        "path": str(action.name),
        "waitTime": _milliseconds(job.created, outcome.start),
        "kind": action.kind,
        "timeout": outcome.timed_out,
        "limits": action.limits,
    }
    if outcome.init_time is not None:
        annotations["initTime"] = outcome.init_time
    if job.cause is not None:
        annotations["causedBy"] = "sequence"
    if action.binding is not None:
        annotations["binding"] = action.binding
    return Record(
        id=job.id, namespace=job.namespace, name=action.name.name, version=action.document["version"],
        start=int(outcome.start * 1000), response=outcome.response, path=action.path, cause=job.cause,
        end=int(outcome.end * 1000), duration=_milliseconds(outcome.start, outcome.end), annotations=annotations,
    )  # fmt: skip


def _variables(job: Job) -> dict[str, str]:
    """The action's context, as /init's environment names it; /run carries the same in small letters."""
    deadline = int((time.time() + job.action.timeout) * 1000)
    variables = {
        "__OW_NAMESPACE": job.namespace,
        "__OW_ACTION_NAME": f"/{job.action.name}",
        "__OW_ACTION_VERSION": job.action.document["version"],
        "__OW_ACTIVATION_ID": job.id,
        "__OW_TRANSACTION_ID": job.transaction,
        "__OW_DEADLINE": str(deadline),
    }
    if is_truthy(job.action.annotation("provide-api-key")):
        variables["__OW_API_KEY"] = job.key
    return variables


def _check_health(container: Container) -> None:
    """Refuse a warm container that is dead: in OpenWhisk its connection is refused, and what is lost later is lost."""
    if not container.alive:
        raise UnhealthyError


async def _start(container: Container) -> bool:
    try:
        await container.start()
    except OSError as error:
        log.warning("container %s: %s", container.image, error)
        return False
    return True


def _milliseconds(start: float, end: float) -> int:
    return max(0, int(end * 1000) - int(start * 1000))


def _encode(body: Any) -> bytes:
    return json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode(errors="replace")
