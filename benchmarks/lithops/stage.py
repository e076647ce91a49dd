"""A platform on which Lithops trains, as benchmarks.stage has one for ours; used by benchmarks.lithops.__main__.

Quota, rates and data are the same. Each measurement starts localwhisk anew, with no container warm and none waiting: an
OpenWhisk cannot prewarm blackbox images, and Lithops knows no others. Its action was deployed before.
"""

import json
import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import costs
from benchmarks.cases import QUOTA
from benchmarks.client import Client
from benchmarks.lithops import environment
from benchmarks.lithops.front import front
from benchmarks.measure import RECORDS_SECONDS, Measurement, empty
from benchmarks.stage import WATCH_SECONDS, StageError, started, write_runtimes
from benchmarks.watch import Watch
from local_platform import Platform
from services import Bucket

MEMORY = 512  # MB; they take 379
WORKERS, PARTS, ROUNDS, BATCH = 4, 2, 8, 32  # what dl-pipeline makes of 4 workers, 4 epochs, batch 64
ROOM = (WORKERS + 2) * MEMORY  # four trainers, the reducer that waits for them, and no eviction
PATIENCE = 3600
POLL_SECONDS = 0.2  # how often Lithops lists its statuses; its default is 2
SCRIPT = str(Path(__file__).with_name("training.py"))
OWN = ("lithops.jobs/", "lithops/")  # what it leaves in the bucket, but for the runtime's description


class EndedError(StageError):
    """A program of Lithops' that ended with an error, in one sentence."""


@dataclass(frozen=True)
class Running:
    """A platform that is up: its sides, and what Lithops must know of it."""

    client: Client
    bucket: Bucket
    watch: Watch
    config: dict[str, Any]


class Stage:
    """One platform in a folder."""

    def __init__(self, folder: Path) -> None:
        self._platform, self._home = Platform(folder / "platform"), folder / "home"
        self._runtimes = folder / "runtimes.json"
        self._prepared = False

    def measure(self, pair: int, data: Path, model: Path) -> Measurement:
        """Train once; the pair's number is the seed."""
        self._prepare()
        with self._running() as running:
            for prefix in OWN:
                empty(running.bucket, prefix)
            for file in (data, model):
                running.bucket.client.upload_file(str(file), running.bucket.bucket, f"bench/{file.name}")
            running.watch.forget()
            said = self._run(
                ["python", SCRIPT], json.dumps({"lithops": running.config, "task": task(pair, data, model)})
            )
            memory = running.watch.peak()
            if running.watch.error:
                raise StageError(running.watch.error)
            found = json.loads(said.splitlines()[-1])
            time.sleep(RECORDS_SECONDS)
            records = list(running.client.records(found["began"]))
        return {
            "seconds": round(found["seconds"], 3),
            "accuracy": round(found["accuracy"], 6),
            "failures": sum(not record["response"]["success"] for record in records),
            "memory": memory,
            "rounds": found["rounds"],
            **costs.summary(records),
        }

    def _prepare(self) -> None:
        """Deploy the action, once a process: the client asks it what it can import, which leaves a container warm."""
        if self._prepared:
            return
        environment.install()
        self._home.mkdir(parents=True, exist_ok=True)
        write_runtimes(self._runtimes, {})
        with self._running() as running:
            path = self._home / "config.json"  # which is YAML, too
            path.write_text(json.dumps(running.config))
            words = ["lithops", "runtime", "deploy", "--memory", str(MEMORY), "--config", str(path)]
            self._run([*words, environment.IMAGE], "")
        self._prepared = True

    @contextmanager
    def _running(self) -> Iterator[Running]:
        flags = [
            *("--user-memory", str(ROOM), "--runtimes", str(self._runtimes)),
            *("--invocations-per-minute", "100000", "--concurrent", "1000", *environment.image_flags()),
        ]
        with started(self._platform, flags):
            settings = self._platform.environment()
            containers = self._platform.state / "localwhisk" / "containers"
            with front(settings["APIHOST"]) as address, Watch(containers, QUOTA, WATCH_SECONDS) as watch:
                yield Running(Client(settings), self._platform.bucket(), watch, lithops_config(settings, address))

    def _run(self, words: list[str], given: str) -> str:
        """Run a program of Lithops' environment in a home of its own; return what it said."""
        command = [environment.program(words[0]), *words[1:]]
        variables = {"PATH": os.environ["PATH"], "HOME": str(self._home), "TMPDIR": str(self._home), "LANG": "C.UTF-8"}
        ran = subprocess.run(
            command, input=given, cwd=self._home, env=variables, capture_output=True, text=True, timeout=PATIENCE
        )
        if ran.returncode:
            last = (ran.stderr.strip() or ran.stdout.strip() or "nothing").splitlines()[-1]
            raise EndedError(f"{words[0]}: ended with {ran.returncode} and said {last!r}, expected 0")
        return ran.stdout


def task(pair: int, data: Path, model: Path) -> dict[str, Any]:
    """Return what training.py is told, but for where it runs."""
    files = {"data": f"bench/{data.name}", "model": f"bench/{model.name}", "prefix": "lithops/part-"}
    return {**files, "workers": WORKERS, "parts": PARTS, "rounds": ROUNDS, "batch": BATCH, "seed": pair}


def lithops_config(settings: dict[str, str], address: str) -> dict[str, Any]:
    """Return Lithops' own configuration: this OpenWhisk, this bucket."""
    return {
        "lithops": {
            "backend": "openwhisk",
            "storage": "minio",
            "monitoring_interval": POLL_SECONDS,
            "log_level": "WARNING",
            "data_cleaner": False,  # it would start a process beside the training
        },
        "openwhisk": {
            "endpoint": address,
            "namespace": "_",
            "api_key": settings["AUTH"],
            "insecure": True,
            "runtime": environment.IMAGE,
            "runtime_memory": MEMORY,
        },
        "minio": {
            "storage_bucket": settings["S3_BUCKET"],
            "endpoint": settings["S3_ENDPOINT"],
            "access_key_id": settings["S3_ACCESS_KEY"],
            "secret_access_key": settings["S3_SECRET_KEY"],
        },
    }
