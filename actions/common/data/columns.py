"""Which columns or arrays of a dataset are inputs and labels: as asked for, and as the plan then fixes them."""

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
class Label:
    """What one output of the model is compared with: an array, or columns side by side; none where nobody has said.

    `classes`: the labels' names in sorted order, where the shards hold their numbers.
    """

    name: str = ""  # of the output
    columns: tuple[str, ...] = ()
    classes: tuple[str, ...] | None = None


@dataclass(frozen=True)
class Asked:
    """What the caller said of columns, None where nothing, and which inputs and outputs the model has."""

    inputs: tuple[Input, ...] = (Input(),)
    labels: tuple[Label, ...] = (Label(),)
    weight: str | None = None  # of each example
    group: str | None = None  # whose examples stay on one side of a split
    missing: str | None = None  # what to do where a value is missing: drop, zero or mean
    image_size: tuple[int, int] | None = None  # height and width


@dataclass(frozen=True)
class Columns:
    """What is read of a dataset, the same in each of its sets."""

    inputs: tuple[Input, ...]
    labels: tuple[Label, ...]
    weight: str | None = None
    group: str | None = None
    missing: str | None = None
    means: dict[str, float] | None = None  # of each column of numbers, where they stand for what is missing
    image_size: tuple[int, int] | None = None

    @property
    def beside(self) -> tuple[str, ...]:
        """The names of what an example weighs and belongs to, where it does."""
        return tuple(name for name in (self.weight, self.group) if name)

    def class_names(self) -> tuple[str, ...] | dict[str, tuple[str, ...]] | None:
        """Return the names of the only label's classes, of several {output: names}; none where they are numbers."""
        if len(self.labels) == 1:
            return self.labels[0].classes
        return {one.name: one.classes for one in self.labels if one.classes}


def read_columns(ends: Iterable[Input | Label]) -> tuple[str, ...]:
    """Return the names of all columns of some inputs or labels, each once."""
    return tuple(dict.fromkeys(name for one in ends for name in one.columns))


def named(names: Iterable[str], kind: str = "arrays") -> str:
    """Return the names of arrays or columns as a message may hold them."""
    held = sorted(names)
    first = [shown(name).strip("'") for name in held[:SHOWN]]
    more = f" and {len(held) - SHOWN} more" if len(held) > SHOWN else ""
    return f"the {kind} {', '.join(first) or 'none'}{more}"
