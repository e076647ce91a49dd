"""A tar as WebDataset has it: the files of an example share a name, as `key.jpg` and `key.cls`; used by datasets.

The label is the number or text of `key.cls`, or the field `label` or `cls` of `key.json`.
"""

import json
from collections.abc import Iterator
from functools import partial
from itertools import groupby, islice

from common.data.archive import cause
from common.data.images.album import Album, Picture
from common.data.images.folders import SUFFIXES
from common.data.images.members import Member, members
from common.data.rows import Open
from common.errors import DatasetError, shown

IMAGES = True
LABEL, FIELDS = ".cls", ".json"
LOOKED_AT = 20  # members, to tell it from a tar of class folders


def is_own(opened: Open) -> bool:
    """Return whether the first members of a tar are labels, too."""
    return any(ending(member) in (LABEL, FIELDS) for member in islice(members(opened), LOOKED_AT))


def open_file(opened: Open, size: tuple[int, int] | None) -> Album:
    """Open a tar of examples."""
    return Album(partial(pictures, opened), size)


def key(member: Member) -> str:
    """Return the name that the files of an example share."""
    name = member.name
    return str(name.with_name(name.name.partition(".")[0]))


def ending(member: Member) -> str:
    """Return what a file of an example ends in, from the first dot on."""
    return "." + member.name.name.partition(".")[2].lower()


def pictures(opened: Open) -> Iterator[Picture]:
    """Yield the image and the label of each example; DatasetError for one that lacks either, or has two of one."""
    for name, group in groupby(members(opened), key):
        files: dict[str, bytes] = {}
        for member in group:
            if (kind := ending(member)) in SUFFIXES | {LABEL, FIELDS}:
                if kind in files:
                    raise DatasetError(f"{shown(name)}: got two files {kind}, expected one of a kind in an example")
                files[kind] = member.read()
        images = [kind for kind in files if kind in SUFFIXES]
        if not files:
            continue
        if len(images) != 1:
            raise DatasetError(f"{shown(name)}: got {len(images)} images, expected one in an example")
        body = files[images[0]]
        yield Picture(shown(name + images[0]), label(name, files), partial(bytes, body))


def label(name: str, files: dict[str, bytes]) -> int | str:
    """Return an example's label; DatasetError where it has none."""
    if LABEL in files:
        text = files[LABEL].decode("utf-8", errors="replace").strip()
        return int(text) if text.lstrip("-").isdecimal() and len(text) < 19 else text
    try:
        fields = json.loads(files.get(FIELDS, b"{}"))
    except (ValueError, RecursionError) as error:
        raise DatasetError(f"{shown(name)}: got no JSON ({cause(error)}), expected an object with a label") from None
    found = next((fields[one] for one in ("label", "cls") if one in fields), None) if isinstance(fields, dict) else None
    if isinstance(found, bool) or not isinstance(found, int | str):
        raise DatasetError(f"{shown(name)}: got no label, expected {LABEL}, or {FIELDS} with label or cls")
    return found
