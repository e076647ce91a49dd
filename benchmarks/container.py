"""One action's container without a platform: `/init` once, then `/run`s, posted as OpenWhisk posts them.

Used by memory and by the images' own tests.
"""

import base64
import http.client
import json
import os
import socket
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import images
import services
import zips
from localwhisk.processes import private_bytes
from services import ROOT

TURN_SECONDS = 300
NO_PLATFORM = "http://127.0.0.1:9"  # no limits but the stock ones


class ContainerError(Exception):
    """A container that did not answer as it should, in one sentence."""


class Container:
    """A container that listens at an address, warm from its first run on."""

    def __init__(self, address: tuple[str, int]) -> None:
        self._address = address

    def start(self, action: str) -> None:
        """Give the container an action's zip; it answers when its preloaded modules are there."""
        self._post("/init", {"code": code(action), "binary": True, "main": "main"})

    def run(self, value: dict[str, Any]) -> dict[str, Any]:
        """Run the action and return its answer."""
        return self._post("/run", value)

    def _post(self, path: str, value: dict[str, Any]) -> dict[str, Any]:
        connection = http.client.HTTPConnection(*self._address, timeout=TURN_SECONDS)
        try:
            connection.request("POST", path, json.dumps({"value": value}))
            answer = connection.getresponse()
            found: dict[str, Any] = json.loads(answer.read())
        finally:
            connection.close()
        if answer.status != http.client.OK or "error" in found:
            raise ContainerError(f"{path}: got status {answer.status}, {found}, expected an answer")
        return found


class Process(Container):
    """The image's proxy as a process in the image's environment, as localwhisk starts it."""

    def __init__(self, image: str, folder: Path) -> None:
        stage, virtual = images.STANDS_FOR[image]
        environment = {**images.environments()[stage], "PATH": os.environ["PATH"], "HOME": str(folder)}
        command = [str(ROOT / virtual / "bin" / "python"), str(ROOT / "runtime" / "image" / "proxy.py")]
        with socket.create_server((services.HOST, 0)) as listener, (folder / "log").open("wb") as log:
            super().__init__(listener.getsockname())
            environment |= {"TMPDIR": str(folder), "OW_SOCKET": str(listener.fileno()), "__OW_API_HOST": NO_PLATFORM}
            handed = (listener.fileno(),)
            self._process = subprocess.Popen(
                command, cwd=folder, env=environment, stdout=log, stderr=log, pass_fds=handed
            )

    def __enter__(self) -> "Process":
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()

    def held(self) -> int:
        """Return the private memory that it holds now, in bytes."""
        return int(private_bytes(self._process.pid))


def code(action: str) -> str:
    """Return an action's zip as /init gets it."""
    with tempfile.TemporaryDirectory() as folder:
        archive = zips.write(Path(folder) / f"{action}.zip", zips.python_action(ROOT / "actions" / action))
        return base64.b64encode(archive.read_bytes()).decode()
