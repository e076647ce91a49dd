"""One run's state in the object store: the name of every key, and reads and writes of its small documents.

Used by every action that holds S3 keys. Storage layout: docs/architecture.md.
"""

import json
import re
from typing import Any

from common.errors import ParameterError, RunError
from common.store import Location, Objects

NAME = re.compile(r"[a-z0-9-]{1,64}")


def check_name(name: object) -> str:
    """Return a run's name; it becomes part of keys, so it may hold nothing but `a-z 0-9 -`."""
    if not isinstance(name, str) or not NAME.fullmatch(name):
        raise ParameterError(f"run: got {name!r}, expected 1..64 of a-z, 0-9 and -")
    return name


class Run:
    """Keys and documents of one run."""

    def __init__(self, objects: Objects, name: str) -> None:
        self.objects = objects
        self.name = check_name(name)
        self.prefix = f"runs/{name}/"

    def at(self, key: str) -> Location:
        """Return where a key of this run lies."""
        return Location(self.objects.bucket, self.prefix + key)

    def sizes(self, folder: str) -> dict[str, int]:
        """Return {key below the run: size} of all keys in a folder of this run."""
        found = self.objects.sizes(self.prefix + folder)
        return {key.removeprefix(self.prefix): size for key, size in found.items()}

    def find_json(self, key: str) -> Any | None:
        """Return a document, or None where there is none."""
        body = self.objects.find(self.at(key))
        try:
            return None if body is None else json.loads(body)
        except (ValueError, RecursionError) as error:
            raise RunError(
                f"run {self.name}: {key} holds no JSON ({error}), expected what openwhisk-dl wrote"
            ) from None

    def create_json(self, key: str, document: object) -> bool:
        """Write a document unless it exists; return whether this call wrote it."""
        return self.objects.create(self.at(key), json.dumps(document, indent=1, allow_nan=False).encode())

    def move(self, key: str, other: str) -> None:
        """Give an object another name; one that is gone was moved by a twin."""
        if self.objects.copy(self.at(key), self.at(other)):
            self.objects.delete(self.at(key))

    def plan(self) -> dict[str, Any]:
        """Return plan.json; RunError when there is no such run."""
        plan = self.find_whole(PLAN, PLAN_KEYS)
        if plan is None:
            raise RunError(f"run: got {self.name}, expected an existing run")
        return plan

    def split(self) -> dict[str, Any]:
        """Return split.json; RunError where the data is not split yet."""
        split = self.find_whole(SPLIT, SPLIT_KEYS)
        if split is None:
            raise RunError(f"run {self.name}: got no {SPLIT}, expected split data")
        return split

    def find_whole(self, key: str, names: tuple[str, ...]) -> dict[str, Any] | None:
        """Return a document, None where there is none; RunError unless it is an object that holds these names."""
        held = self.find_json(key)
        if held is None:
            return None
        lacking = names if not isinstance(held, dict) else [name for name in names if name not in held]
        if lacking:
            raise RunError(f"run {self.name}: {key} lacks {lacking[0]}, expected what openwhisk-dl wrote")
        return dict(held)


PLAN = "plan.json"
PLAN_KEYS = (
    *("version", "run", "given", "parameters", "dataset", "validation", "model", "created", "token", "warnings"),
    *("workers", "epochs", "rounds", "batch", "seed", "learning_rate", "outer_momentum", "optimizer_state"),
    *("weighting", "counts", "held_out", "judges", "evaluate_on"),
)
INITIAL = "initial.keras"
SPLIT = "split.json"
SPLIT_KEYS = ("counts", "sha256", "warnings", "seconds")
CANCEL = "cancel.json"
LEASE = "lease.json"
WARM_UP = "warm-up.json"
WARM = "warm-up/"
COLD = WARM + "cold.json"
BEAT = "beat.json"
DRIVERS = "drivers/"
FAILURES = "failures/"
SCORES = "scores/"
REJECTED = "rejected/"
FINAL = "final.keras"
HISTORY = "history.csv"
REPORT = "report.json"
REPORT_PAGE = "report.html"


def shard_key(shard: int, array: str) -> str:
    """Return the key of array `x` or `y` of a shard."""
    return f"shards/{shard:02d}/{array}.npy"


def part_key(part: str, array: str) -> str:
    """Return the key of array `x` or `y` of the `test` or `validation` set."""
    return f"{part}/{array}.npy"


def wave_key(wave: int) -> str:
    """Return the key of a wave's ledger entry."""
    return f"waves/{wave:06d}.json"


def warm_key(lane: int) -> str:
    """Return the key of what a lane's trainer says when it is warm."""
    return f"{WARM}lane-{lane:02d}.json"


def scores_key(lane: int) -> str:
    """Return the key of what a lane found on its share of the held-out set."""
    return f"{SCORES}lane-{lane:02d}.json"


def numbered_key(folder: str, number: int) -> str:
    """Return the key of the n-th document of a folder: of a driver's start, or of a recorded failure."""
    return f"{folder}{number:04d}.json"


def rejected_key(wave: int, key: str) -> str:
    """Return where an object lies that was refused after a wave."""
    return f"{REJECTED}{wave:06d}/{key}"


def rejection_key(wave: int, round_: int, lane: int) -> str:
    """Return the key that says why what a lane left in a round was refused after a wave."""
    return rejected_key(wave, f"round-{round_:05d}-lane-{lane:02d}.json")


def round_folder(round_: int) -> str:
    """Return the folder of a round."""
    return f"rounds/{round_:05d}/"


def model_key(round_: int) -> str:
    """Return the key of the model state that a round >= 1 starts from."""
    return round_folder(round_) + "model.safetensors"


def state_key(round_: int, lane: int, step: int) -> str:
    """Return the key of a lane's model state after `step` steps of a round."""
    return f"{round_folder(round_)}lane-{lane:02d}/step-{step:08d}.safetensors"


STATE = re.compile(r"rounds/\d{5}/lane-(\d{2})/step-(\d{8})\.safetensors")


def read_state_key(key: str) -> tuple[int, int] | None:
    """Return (lane, step) of a lane state's key, None for any other key."""
    match = STATE.fullmatch(key)
    return (int(match[1]), int(match[2])) if match else None


REJECTION = re.compile(r"rejected/\d{6}/round-(\d{5})-lane-(\d{2})\.json")


def read_rejection_key(key: str) -> tuple[int, int] | None:
    """Return (round, lane) of a refusal's key, None for any other key."""
    match = REJECTION.fullmatch(key)
    return (int(match[1]), int(match[2])) if match else None
