"""The platform on this machine: Redis, localwhisk, relay and S3 server on one state folder; run by scripts/platform.

The state folder keeps addresses, keys and data, so that a restart finds everything where it was. deployment,
demonstration and the tests use the class; whoever has an OpenWhisk of their own writes the env file by hand instead.
"""

import contextlib
import fcntl
import json
import os
import secrets
import shlex
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import click
from rich.console import Console
from rich.table import Table

import images
import processes
import services
from images import PYTHON_IMAGE, TENSORFLOW_IMAGE
from processes import Process
from services import HOST, ROOT, Bucket, Service, ServiceError

DEFAULT_STATE = ROOT / ".local" / "platform"
USER_MEMORY = 8192  # MB; a wave holds K trainers, K + 1 conductors and one more action at once
PATIENCE = {"localwhisk": 20.0, "relay": 5.0, "versitygw": 5.0, "redis": 5.0}  # seconds; localwhisk ends containers
# in the order of their start: the relay needs localwhisk's key, and versitygw does not start before its webhook
ADDRESSES = {"redis": "REDIS_URI", "localwhisk": "APIHOST", "relay": "EVENTS_URL", "versitygw": "S3_ENDPOINT"}


class Platform:
    """The four servers of one state folder."""

    def __init__(self, state: Path = DEFAULT_STATE) -> None:
        self.state = state.resolve()
        self.env_file = self.state / "env"
        self._record = self.state / "platform.json"

    def start(self, flags: Sequence[str] = ()) -> list[str]:
        """Start what does not run yet, localwhisk with these further flags; return the names of what was started."""
        with self._locked():
            running, record = self.running(), self._read()
            if "localwhisk" in running and list(flags) != record["flags"]:
                raise ServiceError(f"localwhisk: runs with flags {record['flags']}, got {list(flags)}; stop it first")
            environment = self._plan(running, record)
            self._write_env(environment)
            foreign = urlsplit(environment["REDIS_URI"]).password != record["redis_password"]
            missing = [name for name in ADDRESSES if name not in running and not (name == "redis" and foreign)]
            for name in missing:
                service = self._start(name, environment, flags)
                record["parts"][name] = vars(service.process) | {"port": service.port}
                self._save(record | {"flags": list(flags)})
            environment["AUTH"] = read_env(self.state / "localwhisk" / "wskprops")["AUTH"]
            self._write_env(environment)
        return missing

    def stop(self) -> list[str]:
        """Stop what `start` started, whole process groups, and return the names of what ran."""
        if not self._record.exists():
            return []
        with self._locked():
            running = self.running()
            for name in reversed([name for name in ADDRESSES if name in running]):
                running[name].process.stop(PATIENCE[name])
            orphans = processes.at_home_in(self.state / "localwhisk")
            for process in orphans:
                process.kill()
        return [*running, *(f"container process {process.pid}" for process in orphans)]

    def running(self) -> dict[str, Service]:
        """Return the recorded servers that live."""
        parts = self._read()["parts"]
        known = {name: Service(Process(part["pid"], part["started"]), part["port"]) for name, part in parts.items()}
        return {name: service for name, service in known.items() if service.process.alive()}

    def environment(self) -> dict[str, str]:
        """Read the env file; empty where there is none."""
        return read_env(self.env_file) if self.env_file.exists() else {}

    def bucket(self) -> Bucket:
        """Return the bucket that the env file names."""
        return bucket_of(self.environment())

    def _plan(self, running: dict[str, Service], record: dict[str, Any]) -> dict[str, str]:
        planned = {
            "S3_REGION": services.REGION,
            "S3_BUCKET": os.environ.get("S3_BUCKET", services.BUCKET),
            "S3_ACCESS_KEY": f"root-{secrets.token_hex(4)}",
            "S3_SECRET_KEY": secrets.token_hex(20),
        } | self.environment()
        given = os.environ.get("REDIS_URI", "")
        if given and urlsplit(given).password != record["redis_password"]:
            if not services.redis_answers(given):
                raise ServiceError(f"REDIS_URI: no Redis answers at {given.rpartition('@')[2]} to these credentials")
            planned["REDIS_URI"] = given
        else:
            port = self._port("redis", running, record)
            planned["REDIS_URI"] = services.redis_uri(port, record["redis_password"])
        planned["S3_ENDPOINT"] = f"http://{HOST}:{self._port('versitygw', running, record)}"
        planned["APIHOST"] = f"http://{HOST}:{self._port('localwhisk', running, record)}"
        password = urlsplit(planned.get("EVENTS_URL", "")).password or secrets.token_hex(24)
        planned["EVENTS_URL"] = f"http://s3:{password}@{HOST}:{self._port('relay', running, record)}/"
        return planned | {
            "DL_PYTHON_IMAGE": PYTHON_IMAGE,
            "DL_TENSORFLOW_IMAGE": TENSORFLOW_IMAGE,
            "WSK_CONFIG_FILE": str(self.state / "wskprops"),
        }

    @staticmethod
    def _port(name: str, running: dict[str, Service], record: dict[str, Any]) -> int:
        if name in running:
            return running[name].port
        return services.free_port(record["parts"].get(name, {}).get("port"))

    def _start(self, name: str, environment: dict[str, str], flags: Sequence[str]) -> Service:
        address = urlsplit(environment[ADDRESSES[name]])
        port = int(address.port or 0)
        if name == "redis":
            return services.start_redis(self.state / name, port, str(address.password))
        if name == "versitygw":
            return services.start_s3(self.state / "s3", port, bucket_of(environment), environment["EVENTS_URL"])
        if name == "relay":
            key = read_env(self.state / "localwhisk" / "wskprops")["AUTH"]
            return services.start_relay(self.state / name, environment | {"AUTH": key})
        own = [*images.flags(self.state / "images"), "--user-memory", str(USER_MEMORY)]
        return services.start_localwhisk(self.state / name, port, [*own, *flags])

    def _read(self) -> dict[str, Any]:
        if not self._record.exists():
            return {"parts": {}, "flags": [], "redis_password": secrets.token_hex(24)}
        found: dict[str, Any] = json.loads(self._record.read_text())
        return found

    def _save(self, record: dict[str, Any]) -> None:
        services.write_private(self._record, json.dumps(record, indent=2) + "\n")

    def _write_env(self, environment: dict[str, str]) -> None:
        lines = [f"{name}={shlex.quote(value)}" for name, value in sorted(environment.items())]
        services.write_private(self.env_file, "\n".join(lines) + "\n")
        properties = f"APIHOST={environment['APIHOST']}\nAUTH={environment.get('AUTH', '')}\nAPIVERSION=v1\n"
        services.write_private(self.state / "wskprops", properties)

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        # to be entered, not listed: all in it is private but localwhisk's containers, where they are users of their own
        self.state.mkdir(mode=0o711, parents=True, exist_ok=True)
        with (self.state / "lock").open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield


def read_env(path: Path) -> dict[str, str]:
    """Read a file of KEY=value lines in shell syntax."""
    return dict(word.split("=", 1) for word in shlex.split(path.read_text(), comments=True) if "=" in word)


def bucket_of(environment: dict[str, str]) -> Bucket:
    """Return the bucket that these settings name."""
    parts = ("S3_ENDPOINT", "S3_REGION", "S3_BUCKET", "S3_ACCESS_KEY", "S3_SECRET_KEY")
    return Bucket(*(environment[name] for name in parts))


def table(platform: Platform) -> Table:
    """Show each part, whether it runs, and where."""
    shown = Table(title=f"platform in {platform.state}", title_justify="left")
    for column in ("part", "state", "address", "pid", "log"):
        shown.add_column(column, overflow="fold")
    running, environment = platform.running(), platform.environment()
    for name, variable in ADDRESSES.items():
        address = environment.get(variable, "-").rpartition("@")[2]
        pid = str(running[name].process.pid) if name in running else "-"
        foreign = name == "redis" and name not in running and services.redis_answers(environment.get(variable, ""))
        state = "up" if name in running else "external, answers" if foreign else "down"
        folder = platform.state / ("s3" if name == "versitygw" else name)
        shown.add_row(name, state, address, pid, str((folder / f"{name}.log").relative_to(platform.state)))
    return shown


@click.group(help=__doc__)
def main() -> None:
    """Dispatch to the commands below."""


state_option = click.option(
    "--state", type=click.Path(path_type=Path, file_okay=False), default=DEFAULT_STATE, help="folder of keys and data"
)


@main.command()
@state_option
@click.argument("flags", nargs=-1, type=click.UNPROCESSED)
def start(state: Path, flags: tuple[str, ...]) -> None:
    """Start what is not up; FLAGS after -- go to localwhisk."""
    platform = Platform(state)
    try:
        started = platform.start(flags)
    except ServiceError as error:
        sys.exit(f"scripts/platform: {error}")
    print(f"started {', '.join(started)}" if started else "up already")
    print(f"env file: {platform.env_file}")


@main.command()
@state_option
def stop(state: Path) -> None:
    """Stop what start started."""
    stopped = Platform(state).stop()
    print(f"stopped {', '.join(stopped)}" if stopped else "nothing was up")


@main.command()
@state_option
def status(state: Path) -> None:
    """Show the parts; exit 1 unless all are up."""
    platform = Platform(state)
    Console().print(table(platform))
    sys.exit(0 if "localwhisk" in platform.running() else 1)


if __name__ == "__main__":
    main()
