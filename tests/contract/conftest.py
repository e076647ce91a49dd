"""Hosts for the contract's tests: an OpenWhisk somewhere (--apihost URL --auth KEY), or localwhisks of their own."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests

ROOT = Path(__file__).parents[2]
REFUSALS = 8  # how often a paced client asks again: a minute's throttle, and those that share it


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--apihost", help="URL of an Apache OpenWhisk that the cases run on; else a fresh localwhisk")
    parser.addoption("--auth", help="its namespace's key, uuid:key")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "localwhisk(reason): holds for localwhisk only, skipped on another host")


class Client(requests.Session):
    """An HTTP client of one host; `auth` is user and password, or None. A paced one waits where it is throttled."""

    def __init__(self, address: str, auth: tuple[str, str] | None, paced: bool = False) -> None:
        super().__init__()
        self.address = address
        self.auth = auth
        self.paced = paced
        self.trust_env = False

    def request(self, method: str, path: str, **arguments: Any) -> requests.Response:  # type: ignore[override]
        arguments = {"timeout": 150, "allow_redirects": False} | arguments
        response = super().request(method, self.address + path, **arguments)
        for _ in range(REFUSALS if self.paced else 0):
            if response.status_code != 429:
                break
            concurrent = "concurrent" in response.text
            time.sleep(1 if concurrent else 61 - time.time() % 60)
            response = super().request(method, self.address + path, **arguments)
        return response


class Host:
    """A running OpenWhisk and clients that speak to it, as the key's namespace and as nobody."""

    def __init__(self, address: str, key: str, paced: bool) -> None:
        self.key = key
        self.client = Client(address, (key.partition(":")[0], key.partition(":")[2]), paced)
        self.anonymous = Client(address, None, paced)
        self.made: list[str] = []
        self.client.hooks["response"].append(self._remember)
        about = self.client.get("/").json()
        self.limits: dict[str, Any] = about["limits"]
        kinds = [kind for family in about["runtimes"].values() for kind in family if kind["default"]]
        self.kinds: dict[str, str] = {kind["kind"].partition(":")[0]: kind["kind"] for kind in kinds}
        self.namespace: str = self.client.get("/api/v1/namespaces").json()[0]

    def client_as(self, credentials: str) -> Client:
        user, _, password = credentials.partition(":")
        return Client(self.client.address, (user, password), self.client.paced)

    def put(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """Create or overwrite an entity."""
        response = self.client.put(f"/api/v1/namespaces/_/{path}?overwrite=true", json=body)
        assert response.status_code == 200, response.text
        return dict(response.json())

    def action(
        self, name: str, code: str, notes: dict[str, Any] | None = None, kind: str = "python", **limits: int
    ) -> dict[str, Any]:
        """Create or overwrite an action of the kind's default version, with these annotations and limits."""
        annotations = [{"key": key, "value": value} for key, value in (notes or {}).items()]
        execution = {"kind": self.kinds.get(kind, kind), "code": code}
        return self.put(f"actions/{name}", {"exec": execution, "annotations": annotations, "limits": limits})

    def get(self, path: str) -> requests.Response:
        return self.client.get(f"/api/v1/namespaces/_/{path}")

    def invoke(
        self, action: str, body: dict[str, Any] | None = None, query: str = "blocking=true"
    ) -> requests.Response:
        return self.client.post(f"/api/v1/namespaces/_/actions/{action}?{query}", json=body or {})

    def result(self, action: str, body: dict[str, Any] | None = None) -> tuple[int, Any]:
        """Status and result of a blocking invocation."""
        response = self.invoke(action, body, "blocking=true&result=true")
        return response.status_code, response.json()

    def warm(self, action: str) -> None:
        """Invoke an action until it has a container that runs: a cold start counts against its time limit."""
        deadline = time.monotonic() + 60
        while self.invoke(action, {"warm": True}).status_code != 200 and time.monotonic() < deadline:
            time.sleep(0.1)

    def record(self, activation: str | requests.Response) -> dict[str, Any]:
        """The stored record of an activation, which is written after the answer."""
        if isinstance(activation, requests.Response):
            activation = activation.headers["x-openwhisk-activation-id"]
        deadline = time.monotonic() + 20
        while (response := self.get(f"activations/{activation}")).status_code == 404 and time.monotonic() < deadline:
            time.sleep(0.02)
        return dict(response.json())

    def _remember(self, response: requests.Response, **_: Any) -> None:
        path = urlsplit(response.url).path.removeprefix("/api/v1/namespaces/_/")
        if response.request.method == "PUT" and response.status_code == 200 and path not in self.made:
            self.made.append(path)

    def clean(self) -> None:
        """Delete what `put` made, the last first."""
        while self.made:
            path = self.made.pop()
            self.client.delete(f"/api/v1/namespaces/_/{path}{'?force=true' if path.startswith('packages') else ''}")

    def close(self) -> None:
        self.client.close()
        self.anonymous.close()


class Local(Host):
    """A localwhisk of the tests' own: its state folder and its process besides."""

    def __init__(self, state: Path, process: "subprocess.Popen[str]", line: str) -> None:
        properties = dict(entry.split("=", 1) for entry in (state / "wskprops").read_text().splitlines())
        super().__init__(properties["APIHOST"], properties["AUTH"], paced=False)
        self.state = state
        self.process = process
        self.ready = line

    def stop(self, sign: signal.Signals = signal.SIGTERM) -> int:
        self.close()
        self.process.send_signal(sign)
        code = self.process.wait(20)
        assert self.process.stdout is not None
        self.process.stdout.close()
        return code


@pytest.fixture(scope="session")
def connect() -> Callable[..., Host]:
    """Connect to any host by its address and key."""
    return Host


@pytest.fixture(scope="session")
def launch() -> Callable[..., Local]:
    """Start a localwhisk on a state folder, with flags, and wait until it says that it is ready."""

    def start(state: Path, *flags: str, log: Path | None = None) -> Local:
        stock = f"whisk/action-python:v3.11={ROOT / '.venv-stock'}"  # as write_runtimes names it
        command = [sys.executable, "-m", "localwhisk", "--state", str(state), "--image", stock, *flags]
        environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT / "runtime")}
        errors = log.open("a") if log else None
        process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=errors, text=True)
        if errors:
            errors.close()
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line.startswith("localwhisk: http://"), line
        return Local(state, process, line.strip())

    return start


@pytest.fixture(scope="session")
def write_runtimes() -> Callable[..., Path]:
    """Write a runtimes manifest with the two kinds that the recorded OpenWhisk had."""

    def write(path: Path, stem_cells: list[dict[str, Any]] | None = None) -> Path:
        attached = {"attachmentName": "codefile", "attachmentType": "text/plain"}
        python = {"prefix": "whisk", "name": "action-python", "tag": "v3.11"}
        nodejs = {"prefix": "whisk", "name": "action-nodejs", "tag": "20"}
        kinds: dict[str, list[dict[str, Any]]] = {
            "nodejs": [{"kind": "nodejs:20", "default": True, "image": nodejs, "attached": attached}],
            "python": [{"kind": "python:3.11", "default": True, "image": python, "attached": attached}],
        }
        if stem_cells:
            kinds["python"][0]["stemCells"] = stem_cells
        path.write_text(json.dumps({"runtimes": kinds}))
        return path

    return write


@pytest.fixture
def start_host(
    tmp_path: Path, launch: Callable[..., Local], write_runtimes: Callable[..., Path]
) -> Iterator[Callable[..., Local]]:
    """Start localwhisks with flags of the test's own, all on one state folder; what still runs ends with the test."""
    hosts: list[Local] = []

    def start_one(*flags: str, stem_cells: list[dict[str, Any]] | None = None) -> Local:
        runtimes = write_runtimes(tmp_path / "runtimes.json", stem_cells)
        hosts.append(launch(tmp_path / "state", "--runtimes", str(runtimes), *flags))
        return hosts[-1]

    yield start_one
    for running in hosts:
        if running.process.poll() is None:
            running.stop()
