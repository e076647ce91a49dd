"""What a caller asks for: parameters, given directly or by a config object, and what they name; used by the planner."""

import json
from pathlib import Path
from typing import Any

from common.data import formats
from common.data.archive import cause
from common.data.dataset import Dataset
from common.errors import AbsentError, DlError, ParameterError, StoreError
from common.plan import params
from common.storage.objects import Location, Objects

CONFIG_BYTES = 1 << 20  # of parameters: what an action takes at most


def given_parameters(objects: Objects, args: dict[str, object]) -> dict[str, Any]:
    """Return the parameters given, those of the `config` object included; a direct one beats it."""
    direct = params.read(args)
    if "config" not in direct:
        return direct
    at = address(objects, "config", direct["config"])
    try:
        held = json.loads(whole(objects.read(at, 0, CONFIG_BYTES + 1)))
    except StoreError as error:
        raise about("config", error) from None
    except (ValueError, RecursionError) as error:
        raise ParameterError(
            f"config: got no JSON at {at} ({cause(error)}), expected an object of parameters"
        ) from None
    if not isinstance(held, dict) or "config" in held:
        raise ParameterError(f"config: got something else at {at}, expected a JSON object of parameters without config")
    return {**params.read(held), **direct}


def whole(text: bytes) -> bytes:
    """Return a config object's text; ValueError for more than parameters take."""
    if len(text) > CONFIG_BYTES:
        raise ValueError(f"more than {CONFIG_BYTES} bytes")
    return text


def address(objects: Objects, name: str, text: str) -> Location:
    """Return where a parameter's object lies."""
    try:
        return objects.locate(text)
    except ParameterError as error:
        raise ParameterError(f"{name}: {error}") from None


def open_dataset(objects: Objects, name: str, text: str) -> Dataset:
    """Return the dataset that a parameter names."""
    at = address(objects, name, text)
    try:
        return Dataset(objects, at, name)
    except StoreError as error:
        raise lacking(objects, name, at, error) from None


def about(name: str, error: DlError) -> DlError:
    """Return what was wrong with a parameter's object: the parameter itself, where there is none such."""
    return (ParameterError if isinstance(error, AbsentError) else type(error))(f"{name}: {error}")


def lacking(objects: Objects, name: str, at: Location, error: StoreError) -> DlError:
    """Return what to say of a parameter's object that could not be read: what to do, where it is a folder."""
    absent = isinstance(error, AbsentError)
    inside = objects.below(Location(at.bucket, at.key.rstrip("/") + "/")) if absent else []
    return ParameterError(f"{name}: {at}: {formats.of_folder(name, inside)}") if inside else about(name, error)


def asked(given: dict[str, Any]) -> dict[str, Any]:
    """Return what a caller asked for, in whichever way it came: what the same call gives again."""
    return {name: value for name, value in given.items() if name not in ("config", "run")}


def fetch_model(objects: Objects, text: str, path: Path) -> None:
    """Copy the user's model to a file."""
    at = address(objects, "model", text)
    try:
        objects.download(at, path)
    except StoreError as error:
        raise lacking(objects, "model", at, error) from None
