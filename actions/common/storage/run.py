"""One run's state in the object store: reads and writes of its small documents; used by every action with S3 keys."""

import json
import re
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from common.errors import ParameterError, RunError
from common.storage import keys
from common.storage.objects import Location, Objects

READERS = 8  # at once
Found = TypeVar("Found")

NAME = re.compile(r"[a-z0-9-]{1,64}")

SPLIT_KEYS = ("run", "counts", "sha256", "warnings", "seconds", "activations", "activation_seconds")


def at_once(read: Callable[[int], Found], numbers: Iterable[int]) -> list[Found]:
    """Return what a small read gives for each of some numbers: a long history costs latency, not bandwidth."""
    with ThreadPoolExecutor(READERS) as pool:
        return list(pool.map(read, numbers))


def check_name(name: object) -> str:
    """Return a run's name; it becomes part of keys, so it may hold nothing but `a-z 0-9 -`."""
    if not isinstance(name, str) or not NAME.fullmatch(name):
        raise ParameterError(f"run: got {name!r}, expected 1..64 of a-z, 0-9 and -")
    return name


class Folder:
    """Objects and documents below a prefix of the deployment's bucket; `called` is what a sentence calls it."""

    def __init__(self, objects: Objects, prefix: str, called: str) -> None:
        self.objects, self.prefix, self.called = objects, prefix, called

    def at(self, key: str) -> Location:
        """Return where a key of this folder lies."""
        return Location(self.objects.bucket, self.prefix + key)

    def sizes(self, folder: str) -> dict[str, int]:
        """Return {key below this folder: size} of all keys in a folder of it."""
        found = self.objects.sizes(self.prefix + folder)
        return {key.removeprefix(self.prefix): size for key, size in found.items()}

    def find_json(self, key: str) -> Any | None:
        """Return a document, or None where there is none."""
        body = self.objects.find(self.at(key))
        try:
            return None if body is None else json.loads(body)
        except (ValueError, RecursionError) as error:
            raise RunError(f"{self.called}: {key} holds no JSON ({error}), expected what openwhisk-dl wrote") from None

    def create_json(self, key: str, document: object) -> bool:
        """Write a document unless it exists; return whether this call wrote it."""
        return self.objects.create(self.at(key), json.dumps(document, indent=1, allow_nan=False).encode())

    def find_whole(self, key: str, names: tuple[str, ...]) -> dict[str, Any] | None:
        """Return a document, None where there is none; RunError unless it is an object that holds these names."""
        held = self.find_json(key)
        if held is None:
            return None
        lacking = names if not isinstance(held, dict) else [name for name in names if name not in held]
        if lacking:
            raise RunError(f"{self.called}: {key} lacks {lacking[0]}, expected what openwhisk-dl wrote")
        return dict(held)


class Run(Folder):
    """One run's objects and documents."""

    def __init__(self, objects: Objects, name: str) -> None:
        self.name = check_name(name)
        super().__init__(objects, f"{keys.RUNS}{name}/", f"run {name}")

    def move(self, key: str, other: str) -> None:
        """Give an object another name; one that is gone was moved by a twin."""
        if self.objects.copy(self.at(key), self.at(other)):
            self.objects.delete(self.at(key))

    def split(self) -> dict[str, Any]:
        """Return split.json; RunError where the data is not split yet."""
        split = self.find_whole(keys.SPLIT, SPLIT_KEYS)
        if split is None:
            raise RunError(f"run {self.name}: got no {keys.SPLIT}, expected split data")
        return split
