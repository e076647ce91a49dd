"""The containers of a localwhisk by the action they hold, and which of them answers a request now; used by faults."""

import contextlib
import json
import os
import signal
from dataclasses import dataclass
from pathlib import Path

import psutil  # type: ignore[import-untyped]

from services import ROOT

ESTABLISHED = "01"  # the state's number in /proc/net/tcp


@dataclass(frozen=True)
class Container:
    """A running container: the process that leads its session."""

    pid: int

    def kill(self) -> None:
        """End every process of it."""
        self._signal(signal.SIGKILL)

    def pause(self) -> None:
        """Stop every process of it."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let a paused one go on."""
        self._signal(signal.SIGCONT)

    def ports(self) -> frozenset[int]:
        """Return the ports on which it listens."""
        try:
            process = psutil.Process(self.pid)
            links = [link for one in (process, *process.children(recursive=True)) for link in one.net_connections()]
        except psutil.Error:
            return frozenset()
        return frozenset(link.laddr.port for link in links if link.status == psutil.CONN_LISTEN)

    def _signal(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(os.getsid(self.pid), number)


def connections() -> set[int]:
    """Return the local ports of all established connections: one read of the kernel's table, as netstat does it."""
    rows = (line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:])
    return {int(row[1].rpartition(":")[2], 16) for row in rows if row[3] == ESTABLISHED}


class Containers:
    """What stands in a localwhisk's state folder; what is known of a container is kept: conductors' steps are short."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._code = {path.parent.name: path.read_text() for path in ROOT.glob("actions/*/__main__.py")}
        self._held: dict[Path, Held] = {}  # by the container's folder, once it has code

    def busy(self, action: str) -> list[Container]:
        """Return the containers of an action that answer a request now: OpenWhisk opens one connection for each."""
        connected, present = connections(), list(self._folder.iterdir())
        for folder in present:
            if folder not in self._held and (found := self._look(folder)):
                self._held[folder] = found
        held = [self._held[folder] for folder in present if folder in self._held]
        return [one.container for one in held if one.action == action and connected & one.ports]

    def _look(self, folder: Path) -> "Held | None":
        with contextlib.suppress(OSError, json.JSONDecodeError):  # it may end between any two of these reads
            pid, action = json.loads((folder / "process.json").read_text())["pid"], self._action(folder)
            if pid is not None and action is not None and (ports := Container(pid).ports()):
                return Held(Container(pid), action, ports)
        return None

    def _action(self, folder: Path) -> str | None:
        for path in folder.glob("root/action/*/main__.py"):
            return next((name for name, code in self._code.items() if code == path.read_text()), None)
        for path in folder.glob("root/**/package.json"):
            if "node_modules" not in path.parts:
                return str(json.loads(path.read_text()).get("name"))
        return None


@dataclass(frozen=True)
class Held:
    """A container, its action, and the ports of its server."""

    container: Container
    action: str
    ports: frozenset[int]
