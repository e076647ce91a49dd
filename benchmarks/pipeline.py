"""Whole runs of the pipeline without a platform: its steps called in order, as the conductors call them.

Used by memory and by the images' own tests.
"""

import secrets
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import cycle
from pathlib import Path
from typing import Any

import services
from services import Bucket

Step = Callable[[dict[str, Any]], dict[str, Any]]  # an action: parameters to result
STEPS = ("planner", "splitter", "reducer", "evaluator")


class Pipeline:
    """Planner, splitter, reducer and evaluator by name, and the trainers that share each wave."""

    def __init__(self, bucket: Bucket, steps: Mapping[str, Step], trainers: Sequence[Step]) -> None:
        self._bucket, self._steps, self._trainers = bucket, steps, trainers

    def run(self, memory: int | None = None, **given: Any) -> dict[str, Any]:
        """Do a run with these parameters of dl-pipeline and return its result; `memory`: MB of the trainer."""
        invocation = {"id": secrets.token_hex(16), "time": time.time()}
        sizes = {"trainers": {"trainer": memory}} if memory else {}
        planned = self._step("planner", invocation=invocation, given=given, **sizes)
        self._wave(planned["value"])
        while self._step("splitter", run=planned["run"])["pending"]:
            pass
        turn = {"run": planned["run"], "driver": planned["driver"]}
        while (found := self._step("reducer", **turn))["pending"]:
            turn |= {"wave": found["wave"], "items": self._wave(found["value"])}
        return self._step("evaluator", run=planned["run"])

    def put(self, name: str, body: bytes) -> str:
        """Write an object that a run starts from and return its address."""
        self._bucket.client.put_object(Bucket=self._bucket.bucket, Key=f"data/{name}", Body=body)
        return f"s3://{self._bucket.bucket}/data/{name}"

    def _step(self, name: str, **value: Any) -> dict[str, Any]:
        return self._steps[name]({"s3": self._bucket.params, **value})

    def _wave(self, pieces: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
        with ThreadPoolExecutor(len(self._trainers)) as pool:
            return list(pool.map(lambda trainer, piece: trainer(piece), cycle(self._trainers), pieces))


@contextmanager
def store(folder: Path, host: str = services.HOST) -> Iterator[Bucket]:
    """Start an S3 server of the runs' own, at an address of this machine."""
    port = services.free_port()
    keys = ("bench", secrets.token_hex(20))
    bucket = Bucket(f"http://{host}:{port}", services.REGION, services.BUCKET, *keys)
    server = services.start_s3(folder, port, bucket, host=host)
    try:
        yield bucket
    finally:
        bucket.client.close()
        server.process.stop(patience=5)
