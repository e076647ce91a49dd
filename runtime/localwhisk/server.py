"""Builds the parts, serves the API, and takes everything down again."""

import asyncio
import contextlib
import fcntl
import json
import os
import resource
import signal
import socket
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path

import uvicorn

from localwhisk import catalog, cgroup
from localwhisk.api.app import build
from localwhisk.auth import GUEST, load_key, write_private, write_wskprops
from localwhisk.container import Limiter, Machine, kill_orphans, new_client
from localwhisk.definitions import Definitions
from localwhisk.dispatcher import Dispatcher
from localwhisk.invoker import Invoker
from localwhisk.kinds import Kinds
from localwhisk.limits import Throttles
from localwhisk.platform import Platform
from localwhisk.pool import Pool
from localwhisk.settings import Settings
from localwhisk.store import ActivationStore, EntityStore, open_database
from localwhisk.users import Users
from localwhisk.users import detect as detect_users
from localwhisk.watchdog import Watchdog

IDLE = 70  # seconds, pekko.http.server.idle-timeout
PATIENCE = 1  # seconds; a caller in a blocking wait must not hold up the end


class Server(uvicorn.Server):
    """Says that it is ready once it is."""

    def __init__(self, config: uvicorn.Config, ready: str) -> None:
        super().__init__(config)
        self._ready = ready

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """End on SIGTERM and SIGINT, successfully; uvicorn's own way raises the signal again afterwards."""
        loop = asyncio.get_running_loop()
        for sign in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(sign, self.handle_exit, sign, None)
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        print(self._ready, flush=True)


async def serve(settings: Settings) -> None:
    """Run until SIGTERM or SIGINT, which uvicorn waits for; then kill every container."""
    settings.state.mkdir(parents=True, exist_ok=True)
    _allow_connections()
    with _only_one(settings.state), _listen(settings) as listener:
        settings = replace(settings, port=listener.getsockname()[1])
        kill_orphans(settings.containers)
        limiter: Limiter = cgroup.detect() or Watchdog()
        kinds = Kinds(settings)
        users = detect_users(settings.containers, kinds.commands())
        async with _platform(settings, limiter, kinds, users if isinstance(users, Users) else None) as platform:
            config = uvicorn.Config(
                build(platform), log_level="warning", access_log=False, lifespan="off",
                timeout_keep_alive=IDLE, timeout_graceful_shutdown=PATIENCE,
            )  # fmt: skip
            whose = "users of their own" if isinstance(users, Users) else f"share one user: {users}"
            ready = f"localwhisk: {settings.address()} (limits: {limiter.name}; containers: {whose})"
            await Server(config, ready).serve([listener])


@contextlib.asynccontextmanager
async def _platform(settings: Settings, limiter: Limiter, kinds: Kinds, users: Users | None) -> AsyncIterator[Platform]:
    """All parts, with the containers ended and the limits removed afterwards."""
    key = _identity(settings)
    database = open_database(settings.state / "localwhisk.sqlite")
    async with new_client() as client:
        pool = Pool(Machine(settings, limiter, client, users), kinds)
        throttles = Throttles(settings.invocations_per_minute, settings.fires_per_minute, settings.concurrent)
        entities, records = EntityStore(database), ActivationStore(database)
        definitions = Definitions(settings, kinds, entities)
        catalog.install(entities, definitions)
        invoker = Invoker(settings, pool, kinds, records, throttles.concurrency)
        dispatcher = Dispatcher(entities, records, invoker, GUEST, key, settings.sequence_length)
        keepers = [asyncio.create_task(pool.keep_house())]
        if isinstance(limiter, Watchdog):
            keepers.append(asyncio.create_task(limiter.run()))
        pool.grow_stem_cells()
        try:
            yield Platform(settings, key, kinds, entities, records, definitions, throttles, dispatcher, client)
        finally:
            for keeper in keepers:
                keeper.cancel()
            invoker.close()
            await pool.close()
            limiter.close()
            database.close()


def _identity(settings: Settings) -> str:
    """Leave the address, the key and the process id where scripts find them."""
    key = load_key(settings.state / "wskprops")
    write_wskprops(settings.state / "wskprops", settings.address(), key)
    write_private(settings.state / "localwhisk.json", json.dumps({"pid": os.getpid(), "port": settings.port}))
    return key


@contextlib.contextmanager
def _only_one(state: Path) -> Iterator[None]:
    """Refuse a second localwhisk on the same folder: it would take the first one's containers for orphans."""
    with (state / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise SystemExit(f"localwhisk: state: got {state}, expected a folder that no other one uses") from None
        yield


def _allow_connections() -> None:
    """As many open files as this user may have: a connection is one, and a container takes a few."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def _listen(settings: Settings) -> socket.socket:
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((settings.host, settings.port))
    except OSError as error:
        listener.close()
        where = f"{settings.host}:{settings.port}"
        raise SystemExit(f"localwhisk: port: got {where}, expected a free one ({error.strerror})") from None
    listener.listen(1024)
    return listener
