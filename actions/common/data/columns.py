"""Which columns or arrays of a dataset are inputs and label: as asked for, and as the plan then fixes them."""

from collections.abc import Iterable
from dataclasses import dataclass

from common.errors import shown

LABELS = ("label", "labels", "target", "class", "y")  # names of which one is the label, where nothing is said
SHOWN = 8  # names in a sentence


@dataclass(frozen=True)
class Asked:
    """What the caller said of columns; None where nothing."""

    inputs: tuple[str, ...] | None = None
    label: str | None = None
    weight: str | None = None  # of each example
    group: str | None = None  # whose examples stay on one side of a split
    missing: str | None = None  # what to do where a value is missing: drop, zero or mean
    image_size: tuple[int, int] | None = None  # height and width


@dataclass(frozen=True)
class Columns:
    """What is read of a dataset, the same in each of its sets."""

    inputs: tuple[str, ...]
    label: str
    weight: str | None = None
    group: str | None = None
    classes: tuple[str, ...] | None = None  # the labels' names in sorted order, where the shards hold their numbers
    missing: str | None = None
    means: tuple[float, ...] | None = None  # of each input, where they stand for what is missing
    image_size: tuple[int, int] | None = None


def named(names: Iterable[str], kind: str = "arrays") -> str:
    """Return the names of arrays or columns as a message may hold them."""
    held = sorted(names)
    first = [shown(name).strip("'") for name in held[:SHOWN]]
    more = f" and {len(held) - SHOWN} more" if len(held) > SHOWN else ""
    return f"the {kind} {', '.join(first) or 'none'}{more}"
