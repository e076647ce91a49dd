"""One container: the process of an image's proxy, its folder, its limits, and the requests posted to it."""

import asyncio
import contextlib
import json
import os
import secrets
import shutil
import signal
import socket
import time
from dataclasses import dataclass
from pathlib import Path

import aiohttp

from localwhisk.auth import write_private
from localwhisk.cgroup import Group, GroupsV1, GroupsV2, remove_group
from localwhisk.kinds import Launch
from localwhisk.listener import listen
from localwhisk.logs import Logs
from localwhisk.processes import at_home_in, kill_session, runs, started
from localwhisk.settings import Settings
from localwhisk.users import Users
from localwhisk.watchdog import Watch, Watchdog

# limits first, then the program: not an instruction of it runs unlimited. 1024 files as OpenWhisk's --ulimit
Limiter = GroupsV1 | GroupsV2 | Watchdog
LAUNCHER = 'ulimit -n 1024; while [ "$1" != -- ]; do echo $$ > "$1" || exit 125; shift; done; shift; exec "$@"'
FAREWELL = 0.1  # seconds an answer may still be on its way when its process has ended


class LostError(Exception):
    """The container ended, or answered nothing that counts."""


class TimeLimitError(Exception):
    """No answer within the action's time limit."""


@dataclass(frozen=True)
class Reply:
    """What /init or /run answered; `length` is what the header promised, `body` at most the limit's bytes of it."""

    status: int
    body: bytes
    length: int


class Container:
    """A process that runs one action's code, or waits for one (a stem cell)."""

    def __init__(
        self, image: str, kind: str | None, memory: int, launch: Launch | None, machine: "Machine", name: str
    ) -> None:
        self.id = secrets.token_hex(8)
        self.image = image
        self.kind = kind
        self.memory = memory
        self.launch = launch
        self.owner: tuple[str, str] | None = None  # invoking namespace and the action's digest, once initialized
        self.last_used = time.monotonic()
        self.folder = machine.settings.containers / self.id
        self._machine = machine
        self._name = name
        self._group: Group | Watch | None = None
        self._exit: asyncio.Task[int] | None = None
        self._pid: int | None = None
        self._listener: socket.socket | None = None
        self._port = 0

    @property
    def started(self) -> bool:
        return self._exit is not None

    @property
    def alive(self) -> bool:
        """Whether its first process runs, as the kernel knows it at this moment."""
        return self._pid is not None and self._exit is not None and not self._exit.done() and runs(self._pid)

    async def start(self) -> None:
        """Start the image's proxy in its own session, folder and limits."""
        assert self.launch is not None
        for name in ("root", "tmp"):
            (self.folder / name).mkdir(parents=True)
        self._listener = listen()
        self._port = self._listener.getsockname()[1]
        command = self.launch.command
        if self._machine.users is not None:
            self._machine.users.give(self.folder, self._port)
            command = self._machine.users.command(self._port, command)
        self._group = self._machine.group(self.id, self.memory)
        self._remember()
        entrances = [str(path) for path in self._group.entrances()]
        out, err = (self.folder / "stdout.log").open("ab"), (self.folder / "stderr.log").open("ab")
        with out, err:
            process = await asyncio.create_subprocess_exec(
                "/bin/sh", "-c", LAUNCHER, "localwhisk", *entrances, "--", *command,
                stdin=asyncio.subprocess.DEVNULL, stdout=out, stderr=err,
                cwd=self.folder / "root", env=self._environment(self.launch, self._listener), start_new_session=True,
                pass_fds=(self._listener.fileno(),),
            )  # fmt: skip
        self._pid = process.pid
        if isinstance(self._group, Watch):
            self._group.leader = process.pid
        self._exit = asyncio.ensure_future(process.wait())
        self.logs = Logs(self.folder)
        self._remember()

    async def post(self, path: str, body: bytes, timeout: float, limit: int) -> Reply:
        """Post to the proxy; LostError when it ends or gives no answer, TimeLimitError after `timeout` seconds."""
        assert self._exit is not None
        request = asyncio.ensure_future(self._request(path, body, limit))
        try:
            await asyncio.wait({request, self._exit}, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
            if not request.done() and not self._exit.done():
                raise TimeLimitError
            return await asyncio.wait_for(request, FAREWELL)
        except (aiohttp.ClientError, ConnectionError, TimeoutError) as error:
            raise LostError(str(error)) from error
        finally:
            request.cancel()

    def pause(self) -> None:
        """Stop its processes while nobody uses them: whatever runs in the background stands still."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        self._signal(signal.SIGCONT)

    async def out_of_memory(self) -> bool:
        """Whether a process of it was killed for memory; asked after it was lost."""
        if self._exit is not None:
            await asyncio.wait({self._exit}, timeout=FAREWELL)
        return self._group is not None and self._group.out_of_memory()

    async def destroy(self) -> None:
        """End every process of it and remove what it left."""
        if self._pid is not None:
            kill_session(self._pid)
        if self._exit is not None:
            await asyncio.wait({self._exit}, timeout=5)
        if self._group is not None:
            await asyncio.to_thread(self._group.remove)
        await asyncio.to_thread(shutil.rmtree, self.folder, True)
        if self._listener is not None:
            self._listener.close()  # the last: the port is also its user's number

    async def _request(self, path: str, body: bytes, limit: int) -> Reply:
        url = f"http://127.0.0.1:{self._port}{path}"
        headers = {"Content-Type": "application/json"}
        try:
            async with self._machine.client.post(url, data=body, headers=headers) as response:
                if response.content_length is None:
                    raise LostError("response without Content-Length")
                length = min(response.content_length, limit)
                return Reply(response.status, await response.content.readexactly(length), response.content_length)
        except asyncio.IncompleteReadError as error:
            raise LostError("response ended early") from error

    def _signal(self, number: signal.Signals) -> None:
        if self._pid is not None and self.alive:
            os.killpg(self._pid, number)

    def _environment(self, launch: Launch, listener: socket.socket) -> dict[str, str]:
        home = str(self.folder / "tmp")
        return {
            "LANG": "C.UTF-8",
            **launch.environment,
            "PATH": launch.path,
            "HOME": home,
            "TMPDIR": home,
            "OW_SOCKET": str(listener.fileno()),
            "__OW_API_HOST": self._machine.settings.address(),
        }

    def _remember(self) -> None:
        """Note who to kill, for a successor of a localwhisk that was killed itself."""
        groups = [str(folder) for folder in self._group.folders] if isinstance(self._group, Group) else []
        birth = started(self._pid) if self._pid is not None else None
        note = {"pid": self._pid, "started": birth, "groups": groups, "name": self._name}
        write_private(self.folder / "process.json", json.dumps(note))


class Machine:
    """What containers share: settings, the HTTP client, who limits them, and users of their own if there are any."""

    def __init__(
        self, settings: Settings, limiter: Limiter, client: aiohttp.ClientSession, users: Users | None = None
    ) -> None:
        self.settings = settings
        self.users = users
        self.limiter = limiter
        self.client = client

    def group(self, container: str, memory: int) -> Group | Watch:
        """Limits as the ContainerPool reckons them: the CPU in proportion to the memory."""
        parts = max(1, self.settings.user_memory // memory)
        cpus = self.settings.user_cpus / parts if self.settings.user_cpus is not None else None
        return self.limiter.create(container, memory, max(2, 1024 // parts), cpus)


def new_client() -> aiohttp.ClientSession:
    """A client that opens one connection a request: proxies do not keep them."""
    connector = aiohttp.TCPConnector(force_close=True, limit=0)
    return aiohttp.ClientSession(
        connector=connector, timeout=aiohttp.ClientTimeout(total=None), auto_decompress=False, trust_env=False
    )


def kill_orphans(containers: Path) -> None:
    """End containers that a killed predecessor left: known by process id and start time, or by their home alone."""
    for note in containers.glob("*/process.json"):
        process = json.loads(note.read_text())
        if process["pid"] is not None and started(process["pid"]) in (process["started"], None):
            kill_session(process["pid"])
        for group in process["groups"]:
            remove_group(Path(group))
            with contextlib.suppress(OSError):
                Path(group).parent.rmdir()
    for pid in at_home_in(containers):
        kill_session(pid)
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    shutil.rmtree(containers, ignore_errors=True)
    containers.mkdir(parents=True)
