"""Action containers for /init and /run: proxies as processes, or inside a built image.

CONTAINER_IMAGE names an image of Docker's; test_image.py sets it to run test_container.py and test_proxy.py again
inside that image.
"""

import http.client
import json
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import pytest

from localwhisk.listener import listen

ROOT = Path(__file__).parents[3]
IMAGE = os.environ.get("CONTAINER_IMAGE")
PATIENCE = 30  # seconds until a container listens, or has ended
COMMANDS: dict[str, list[str | Path]] = {
    "python": [ROOT / ".venv-dl/bin/python", ROOT / "runtime/image/proxy.py"],
    "stock": [ROOT / ".venv-stock/bin/python", ROOT / "runtime/image/proxy.py"],
    "nodejs": [shutil.which("node") or "node", ROOT / "runtime/localwhisk/node/proxy.js"],
}


class Answer(NamedTuple):
    """What a request got; all None if the connection was refused or lost."""

    status: int | None
    body: Any
    content_length: bool


class Container(Protocol):
    """What the tests see of a container."""

    address: tuple[str, int]

    def post(self, path: str, body: object) -> Answer: ...
    def outputs(self) -> tuple[str, str]: ...
    def ends(self, patience: float = PATIENCE) -> bool: ...
    def signal(self, number: int) -> None: ...
    def close(self) -> None: ...


def post(address: tuple[str, int], path: str, body: object) -> Answer:
    """Send body, as it is if it is text; wait for a server that does not listen yet where there is time."""
    connection = http.client.HTTPConnection(*address, timeout=60)
    try:
        connection.request("POST", path, body if isinstance(body, str) else json.dumps(body))
        response = connection.getresponse()
        text = response.read()
    except (ConnectionError, http.client.RemoteDisconnected):
        return Answer(None, None, False)
    finally:
        connection.close()
    return Answer(response.status, json.loads(text), response.getheader("Content-Length") == str(len(text)))


def wait_until_it_listens(address: tuple[str, int]) -> None:
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            socket.create_connection(address).close()
        except ConnectionRefusedError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.01)
        else:
            return


class Process:
    """A proxy as a process of this machine, with an environment rebuilt from nothing."""

    def __init__(self, kind: str, folder: Path, environment: dict[str, str]) -> None:
        self.folder = folder
        defaults = {"PATH": os.environ["PATH"], "HOME": str(folder), "LANG": "C.UTF-8", "PYTHONPATH": str(folder)}
        streams = (folder / "stdout").open("wb"), (folder / "stderr").open("wb")
        with streams[0] as stdout, streams[1] as stderr, listen() as listener:
            self.address = listener.getsockname()
            handed = {"OW_SOCKET": str(listener.fileno())}
            self.process = subprocess.Popen(
                COMMANDS[kind], cwd=folder, env={**defaults, **handed, **environment}, stdout=stdout, stderr=stderr,
                pass_fds=(listener.fileno(),),
            )  # fmt: skip

    def post(self, path: str, body: object) -> Answer:
        return post(self.address, path, body)

    def outputs(self) -> tuple[str, str]:
        return (self.folder / "stdout").read_text("utf-8"), (self.folder / "stderr").read_text("utf-8")

    def ends(self, patience: float = PATIENCE) -> bool:
        try:
            self.process.wait(patience)
        except subprocess.TimeoutExpired:
            return False
        return True

    def signal(self, number: int) -> None:
        self.process.send_signal(number)

    def close(self) -> None:
        self.process.kill()
        self.process.wait()


class Docker:
    """A container of IMAGE, at its own address, as OpenWhisk reaches it (a published port answers too early)."""

    def __init__(self, kind: str, folder: Path, environment: dict[str, str]) -> None:
        assert IMAGE is not None
        settings = [f"--env={name}={value}" for name, value in {"PYTHONPATH": "/modules", **environment}.items()]
        self.id = docker("run", "--detach", f"--volume={folder}:/modules:ro", *settings, IMAGE).stdout.strip()
        networks = "{{.NetworkSettings.Networks.bridge.IPAddress}}"
        self.address = (docker("inspect", f"--format={networks}", self.id).stdout.strip(), 8080)
        wait_until_it_listens(self.address)

    def post(self, path: str, body: object) -> Answer:
        return post(self.address, path, body)

    def outputs(self) -> tuple[str, str]:
        logs = docker("logs", self.id)
        return logs.stdout, logs.stderr

    def ends(self, patience: float = PATIENCE) -> bool:
        deadline = time.monotonic() + patience
        while docker("inspect", "--format={{.State.Running}}", self.id).stdout.strip() == "true":
            if time.monotonic() > deadline:
                return False
            time.sleep(0.02)
        return True

    def signal(self, number: int) -> None:
        docker("kill", f"--signal={number}", self.id)

    def close(self) -> None:
        docker("rm", "--force", self.id)


def docker(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["docker", *arguments], check=True, capture_output=True, encoding="utf-8")


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Container]]:
    """Start a container of a kind, with further environment; all are gone after the test."""
    containers: list[Container] = []

    def start_one(kind: str, **environment: str) -> Container:
        if IMAGE and kind != "python":
            pytest.skip(f"{IMAGE} has no {kind}")
        folder = tmp_path / str(len(containers))
        folder.mkdir()
        for module in tmp_path.glob("*.py"):
            shutil.copy(module, folder)
        containers.append((Docker if IMAGE else Process)(kind, folder, environment))
        return containers[-1]

    yield start_one
    for container in containers:
        container.close()


@pytest.fixture
def initialized(start: Callable[..., Container]) -> Callable[..., Container]:
    """Start a container of a kind and give it code, with further fields of /init's value."""

    def initialize(kind: str, code: str, environment: dict[str, str] | None = None, **value: object) -> Container:
        container = start(kind, **(environment or {}))
        request = {"name": "a", "main": "main", "binary": False, "code": code, **value}
        assert container.post("/init", {"value": request}).status == 200, container.outputs()
        return container

    return initialize
