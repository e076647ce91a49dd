"""Which columns or arrays of a dataset are inputs and label: as asked for, and as the plan then fixes them."""

from collections.abc import Iterable
from dataclasses import dataclass

from common.errors import shown

LABELS = ("label", "labels", "target", "class", "y")  # names of which one is the label, where nothing is said
SHOWN = 8  # names in a sentence


@dataclass(frozen=True)
class Input:
    """One input of the model, and what it takes: an array, or columns side by side; none where nobody has said."""

    name: str = ""
    columns: tuple[str, ...] = ()
    text: bool = False  # whether it takes text, not numbers


@dataclass(frozen=True)
class Asked:
    """What the caller said of columns, None where nothing, and which inputs the model has."""

    inputs: tuple[Input, ...] = (Input(),)
    label: str | None = None
    weight: str | None = None  # of each example
    group: str | None = None  # whose examples stay on one side of a split
    missing: str | None = None  # what to do where a value is missing: drop, zero or mean
    image_size: tuple[int, int] | None = None  # height and width


@dataclass(frozen=True)
class Columns:
    """What is read of a dataset, the same in each of its sets."""

    inputs: tuple[Input, ...]
    label: str
    weight: str | None = None
    group: str | None = None
    classes: tuple[str, ...] | None = None  # the labels' names in sorted order, where the shards hold their numbers
    missing: str | None = None
    means: dict[str, float] | None = None  # of each column of numbers, where they stand for what is missing
    image_size: tuple[int, int] | None = None

    @property
    def beside(self) -> tuple[str, ...]:
        """The names of what an example weighs and belongs to, where it does."""
        return tuple(name for name in (self.weight, self.group) if name)


def read_columns(inputs: Iterable[Input]) -> tuple[str, ...]:
    """Return the names of all columns of some inputs, each once."""
    return tuple(dict.fromkeys(name for one in inputs for name in one.columns))


def named(names: Iterable[str], kind: str = "arrays") -> str:
    """Return the names of arrays or columns as a message may hold them."""
    held = sorted(names)
    first = [shown(name).strip("'") for name in held[:SHOWN]]
    more = f" and {len(held) - SHOWN} more" if len(held) > SHOWN else ""
    return f"the {kind} {', '.join(first) or 'none'}{more}"
