"""Every error an action raises on purpose; its text is what the caller of the action reads.

DlError
├── ParameterError   a parameter of dl-pipeline is missing, of the wrong type or out of bounds
├── DatasetError     the dataset cannot be trained on
├── ModelError       the model file cannot be trained, or training left the numbers it may take
├── StoreError       the object store refused or lost something
│   ├── AbsentError      it has no such object
│   └── AccessError      it does not let this deployment in: wrong keys or rights, no such bucket
├── InspectionError  what a trainer left in the store is damaged, or not what the plan says
├── TransferError    a presigned URL could not be read or written
└── RunError         a run cannot go on: it failed, was cancelled, or exists with other parameters

The platform carries an exception as its text alone, `{"error": str(exception)}`. A step that may be repeated therefore
begins its text with the class, by which the compositions and the reducer tell what trying again cannot mend.
"""

import functools
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

LONGEST = 2000  # characters of a text: results hold 1 MB in all, of up to 28 lanes


class DlError(Exception):
    """Base of all errors of openwhisk-dl."""


class ParameterError(DlError):
    """A parameter is missing, unknown, of the wrong type or out of bounds."""


class DatasetError(DlError):
    """The dataset cannot be trained on; one line, whatever its columns and members are called."""

    def __init__(self, text: str) -> None:
        super().__init__("".join(c if c.isprintable() else repr(c)[1:-1] for c in " ".join(text.split())))


class ModelError(DlError):
    """The model file cannot be trained, or training produced a number that is not finite."""


class StoreError(DlError):
    """The object store refused or lost something."""


class AbsentError(StoreError):
    """The object store has no such object."""


class AccessError(StoreError):
    """The object store does not let this deployment in: wrong keys or rights, or no such bucket."""


class InspectionError(DlError):
    """What a trainer left is damaged, or not what the plan says; `lanes` are those it is from, where that is known."""

    def __init__(self, text: str, *lanes: int) -> None:
        super().__init__(text)
        self.lanes = lanes


class TransferError(DlError):
    """A presigned URL could not be read or written."""


class RunError(DlError):
    """A run cannot go on: it failed, was cancelled, or exists with other parameters."""


# the same in compositions/parts/patient.js
FINAL = re.compile(r"(ParameterError|DatasetError|ModelError|RunError|AccessError): (.*)", re.DOTALL)


def classified(main: Callable[[dict[str, Any]], dict[str, Any]]) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """Let a step's exceptions say their class, in one line of bounded length."""

    @functools.wraps(main)
    def step(args: dict[str, Any]) -> dict[str, Any]:
        try:
            return main(args)
        except Exception as error:
            raise DlError(one_line(f"{kind(error)}: {error}")) from error

    return step


@contextmanager
def placed(place: str | None) -> Iterator[None]:
    """Begin what is wrong with a dataset by its place, where there is one to say."""
    try:
        yield
    except DatasetError as error:
        raise DatasetError(f"{place}: {error}" if place else str(error)) from None


def kind(error: Exception) -> str:
    """Return the name of an error's class; of ours, the one of the tree above."""
    return next((one for one in type(error).__mro__ if one.__module__ == __name__), type(error)).__name__


def one_line(text: str) -> str:
    """Return a text as a line of bounded length."""
    line = " ".join(text.split())
    return line if len(line) <= LONGEST else line[: LONGEST - 3] + "..."


def final(text: str) -> str | None:
    """Return the sentence of an error that trying again cannot mend, without its class; None for any other error."""
    match = FINAL.match(text)
    return match and match[2]


def shown(value: object) -> str:
    """Return a value as a message may hold it: short."""
    words = "null" if value is None else repr(value)
    return words if len(words) <= 60 else words[:57] + "..."


def plain(value: object) -> str:
    """Return a value or a cause as a message may hold it without quotes: one line, short."""
    return " ".join(str(value).split())[:200]
