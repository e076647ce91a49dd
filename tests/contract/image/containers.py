"""Action containers for /init and /run: the proxies as processes of this machine, or inside a built image."""

import http.client
import json
import os
import shutil
import socket
import subprocess
import time
from pathlib import Path
from typing import Any, NamedTuple, Protocol

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
    """A container of an image, at its own address, as OpenWhisk reaches it (a published port answers too early)."""

    def __init__(self, image: str, environment: dict[str, str], *settings: str) -> None:
        variables = [f"--env={name}={value}" for name, value in environment.items()]
        self.id = docker("run", "--detach", *settings, *variables, image).stdout.strip()
        network = "{{with .NetworkSettings.Networks.bridge}}{{.IPAddress}} {{.Gateway}}{{end}}"
        host, self.gateway = docker("inspect", f"--format={network}", self.id).stdout.split()
        self.address = (host, 8080)
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


def started(kind: str, folder: Path, environment: dict[str, str]) -> Container:
    """Start a container whose Python finds the folder's modules."""
    if IMAGE is None:
        return Process(kind, folder, environment)
    return Docker(IMAGE, {"PYTHONPATH": "/modules", **environment}, f"--volume={folder}:/modules:ro")


def docker(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["docker", *arguments], check=True, capture_output=True, encoding="utf-8")
