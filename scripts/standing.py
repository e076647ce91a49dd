"""Where a run stands, read from the object store alone (throttles count invocations); used by the demo."""

import json
import re
from dataclasses import dataclass
from typing import Any

from services import Bucket

LANE = re.compile(r"rounds/(\d+)/lane-(\d+)/")
CLOSED = re.compile(r"rounds/(\d+)/model\.safetensors")
WAVE = re.compile(r"waves/(\d+)\.json")
LENGTH = 8  # bytes at a safetensors file's start that hold its header's length


@dataclass(frozen=True)
class Standing:
    """What of a run is done; lanes are those that have saved a state in the open round."""

    phase: str
    waves: int = 0
    round: int = 0  # rounds closed
    rounds: int = 0
    lanes: int = 0
    workers: int = 0
    accuracy: float | None = None  # on the training examples of the last closed round


def read(store: Bucket, run: str) -> Standing:
    """Read a run's standing."""
    prefix = f"runs/{run}/"
    keys = {key.removeprefix(prefix) for key in listed(store, prefix)}
    if "plan.json" not in keys:
        return Standing("planning")
    plan = json.loads(body(store, f"{prefix}plan.json"))
    closed = max((int(match[1]) for key in keys if (match := CLOSED.fullmatch(key))), default=0)
    return Standing(
        phase=phase(keys, closed, plan),
        waves=sum(bool(WAVE.fullmatch(key)) for key in keys),
        round=closed,
        rounds=plan["rounds"],
        lanes=len({match[2] for key in keys if (match := LANE.match(key)) and int(match[1]) == closed}),
        workers=plan["workers"],
        accuracy=training_accuracy(store, f"{prefix}rounds/{closed:05d}/model.safetensors") if closed else None,
    )


def phase(keys: set[str], closed: int, plan: dict[str, Any]) -> str:
    """Name what the run is doing, by what it has left."""
    if "report.json" in keys:
        return "done"
    if closed == plan["rounds"]:
        return "evaluating"
    return "training" if "split.json" in keys else "splitting"


def training_accuracy(store: Bucket, key: str) -> float | None:
    """Read what the lanes of a closed round measured: right answers over examples, from the file's header alone."""
    length = int.from_bytes(body(store, key, f"bytes=0-{LENGTH - 1}"), "little")
    header = json.loads(body(store, key, f"bytes={LENGTH}-{LENGTH + length - 1}"))
    sums = [lane["sums"].get("accuracy", (0, 0)) for lane in json.loads(header["__metadata__"]["lanes"])]
    examples = sum(count for _, count in sums)
    return sum(total for total, _ in sums) / examples if examples else None


def listed(store: Bucket, prefix: str) -> list[str]:
    """List the keys below a prefix."""
    pages = store.client.get_paginator("list_objects_v2").paginate(Bucket=store.bucket, Prefix=prefix)
    return [entry["Key"] for page in pages for entry in page.get("Contents", [])]


def body(store: Bucket, key: str, part: str = "bytes=0-") -> bytes:
    """Read an object, or a range of it."""
    content: bytes = store.client.get_object(Bucket=store.bucket, Key=key, Range=part)["Body"].read()
    return content
