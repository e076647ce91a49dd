"""The containers of a localwhisk by the action they hold, and which of them answers a request now; used by faults."""

import contextlib
import json
import os
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil  # type: ignore[import-untyped]

from services import ROOT


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

    def busy(self) -> bool:
        """Return whether somebody is connected to its server: OpenWhisk opens one connection a request."""
        try:
            process = psutil.Process(self.pid)
            links = [link for one in (process, *process.children(recursive=True)) for link in one.net_connections()]
        except psutil.Error:
            return False
        ports = {link.laddr.port for link in links if link.status == psutil.CONN_LISTEN}
        return any(link.status == psutil.CONN_ESTABLISHED and link.laddr.port in ports for link in links)

    def _signal(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(os.getsid(self.pid), number)


class Containers:
    """What stands in a localwhisk's state folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._code = {path.parent.name: path.read_text() for path in ROOT.glob("actions/*/__main__.py")}
        self._held: dict[Path, str | None] = {}  # which action a container holds, once it does

    def busy(self, action: str) -> list[Container]:
        """Return the containers of an action that answer a request now."""
        return [container for container in self._of(action) if container.busy()]

    def _of(self, action: str) -> Iterator[Container]:
        for note in self._folder.glob("*/process.json"):
            with contextlib.suppress(OSError, json.JSONDecodeError):  # it may end between any two of these reads
                if self._held.get(note) is None:
                    self._held[note] = self._action(note.parent)
                pid = json.loads(note.read_text())["pid"]
                if self._held[note] == action and pid is not None:
                    yield Container(pid)

    def _action(self, folder: Path) -> str | None:
        for path in folder.glob("root/action/*/main__.py"):
            return next((name for name, code in self._code.items() if code == path.read_text()), None)
        for path in folder.glob("root/**/package.json"):
            if "node_modules" not in path.parts:
                return str(json.loads(path.read_text()).get("name"))
        return None
