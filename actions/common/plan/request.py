"""What a caller asks for: parameters, given directly or by a config object, and what they name; used by the planner."""

import json
from pathlib import Path, PurePosixPath
from typing import Any

from common.data import formats
from common.data.archive import cause
from common.data.dataset import Part, part_of
from common.errors import AbsentError, DlError, ParameterError, StoreError, placed
from common.plan import params, readers
from common.storage import keys
from common.storage.objects import Location, Objects
from common.storage.run import check_name

RUN = "run://"  # how the name of a run begins where it stands for the run's final model
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


def open_parts(objects: Objects, name: str, given: str | list[str]) -> list[Part]:
    """Return the objects of the dataset that a parameter names: one, those of a folder, or a list of them."""
    listed = in_folder(objects, name, given) if isinstance(given, str) and given.endswith("/") else None
    places = listed or [address(objects, name, text) for text in ([given] if isinstance(given, str) else given)]
    parts = []
    for at in places:
        try:
            with placed(f"{name}: {at}"):
                parts.append(part_of(objects, at))
        except StoreError as error:
            raise lacking(objects, name, at, error) from None
    return parts


def in_folder(objects: Objects, name: str, text: str) -> list[Location]:
    """Return the objects of a folder in the order of their names, without empty and hidden ones."""
    folder = address(objects, name, text)
    try:
        held = objects.sizes(folder.key, folder.bucket)
    except StoreError as error:
        raise about(name, error) from None
    keys = sorted(key for key, size in held.items() if size and not PurePosixPath(key).name.startswith((".", "_")))
    if not 0 < len(keys) <= readers.PARTS:
        raise ParameterError(f"{name}: {folder}: got {len(keys)} objects, expected 1..{readers.PARTS} in a folder")
    return [address(objects, name, f"s3://{folder.bucket}/{key}") for key in keys]


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
    """Copy the user's model to a file: the object of this address, or the final model of the run it goes on from."""
    name = text.removeprefix(RUN) if text.startswith(RUN) else None
    at = address(objects, "model", text if name is None else final_model(name))
    try:
        objects.download(at, path)
    except StoreError as error:
        if name is not None and isinstance(error, AbsentError):
            raise ParameterError(
                f"model: got run {name}, which has no final model, expected one that is done"
            ) from None
        raise lacking(objects, "model", at, error) from None


def final_model(name: str) -> str:
    """Return the key of a run's final model; ParameterError where no run may be called so."""
    try:
        return f"{keys.RUNS}{check_name(name)}/{keys.FINAL}"
    except ParameterError as error:
        raise ParameterError(f"model: {error}") from None
