"""The columns of a dataset of rows: the same in all its parts, and those of them that are inputs and labels."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from common.data.columns import LABELS, Asked, Columns, Input, Label, named, read_columns
from common.data.rows import TEXT, Column
from common.errors import DatasetError, shown

NUMBERS = {*"iuf"}  # kinds of NumPy's dtypes


def together(parts: Sequence[Sequence[Column]]) -> dict[str, Column]:
    """Return the columns of all parts by name, in the order of the first; DatasetError where parts differ."""
    merged = {column.name: column for column in parts[0]}
    for number, columns in enumerate(parts[1:], 2):
        held = {column.name: column for column in columns}
        if held.keys() != merged.keys():
            expected = named(merged, "columns").removeprefix("the columns ")
            raise DatasetError(f"part {number} has {named(held, 'columns')}, expected {expected} as in part 1")
        merged = {name: both(column, held[name], number) for name, column in merged.items()}
    return merged


def both(one: Column, other: Column, number: int) -> Column:
    """Return a column that holds what it holds in two parts, the second of this number."""
    if one == other:
        return one
    if not one.unusable and not other.unusable and one.shape == other.shape:
        if one.dtype == other.dtype == TEXT:
            return replace(one, no_number=one.no_number or other.no_number)
        if TEXT not in (one.dtype, other.dtype) and {np.dtype(part.dtype).kind for part in (one, other)} <= NUMBERS:
            return replace(one, dtype=np.result_type(one.dtype, other.dtype).str)
    held, expected = described(other), described(one)
    raise DatasetError(f"part {number}: column {one.name} holds {held}, expected {expected} as in part 1")


def described(column: Column) -> str:
    """Return what a column holds, in words."""
    kind = "text" if column.dtype == TEXT else f"numbers ({column.dtype})"
    return column.unusable or (f"{kind} of shape {column.shape}" if column.shape else kind)


def chosen(held: Mapping[str, Column], asked: Asked) -> Columns:
    """Return which columns are inputs and labels; DatasetError where the caller has to say."""
    labels = tuple(one if one.columns else by_output(one, held, len(asked.labels)) for one in asked.labels)
    others = [name for name in held if name not in (*read_columns(labels), asked.weight, asked.group)]
    inputs = tuple(one if one.columns else by_name(one, others, len(asked.inputs)) for one in asked.inputs)
    if not read_columns(inputs):
        kind = "column" if len(read_columns(labels)) == 1 else "columns"
        raise DatasetError(f"got {named(read_columns(labels), kind)} alone, expected columns of inputs beside it")
    check_apart(inputs, labels, asked.weight)
    return Columns(inputs, labels, asked.weight, asked.group, missing=asked.missing, image_size=asked.image_size)


def check_apart(inputs: Sequence[Input], labels: Sequence[Label], weight: str | None) -> None:
    """Refuse a column that is asked for twice; but an autoencoder's labels are all that one of its inputs takes."""
    taken, copied = {*read_columns(inputs)}, {one.columns for one in inputs}
    labelled = {*read_columns(one for one in labels if one.columns not in copied)}
    for name in sorted(labelled & taken) or {weight} & (taken | {*read_columns(labels)}):
        raise DatasetError(f"column {name} is asked for twice, expected label, sample_weight and inputs apart")


def by_output(one: Label, held: Mapping[str, Column], outputs: int) -> Label:
    """Return a label with the column of its output's name, or of the usual name where it is the only one."""
    if outputs == 1:
        return replace(one, columns=(default_label(held),))
    if one.name not in held:
        raise DatasetError(
            f"got {named(held, 'columns')}, expected {shown(one.name)[1:-1]} as an output of the model is called: "
            "say by label which column it takes"
        )
    return replace(one, columns=(one.name,))


def by_name(one: Input, others: Sequence[str], inputs: int) -> Input:
    """Return an input with the column of its name, or with all columns where it is the only input."""
    if one.name in others:
        return replace(one, columns=(one.name,))
    if inputs > 1:
        raise DatasetError(
            f"got {named(others, 'columns')}, expected {shown(one.name)[1:-1]} as an input of the model is called: "
            "say by inputs which columns it takes"
        )
    return replace(one, columns=tuple(others))


def default_label(held: Mapping[str, Column]) -> str:
    """Return the one column whose name says that it is the label."""
    found = [name for name in LABELS if name in held]
    if len(found) != 1:
        raise DatasetError(f"got {named(held, 'columns')}, expected the name of one as label")
    return found[0]


def usable(held: Mapping[str, Column], name: str, text: bool = False) -> Column:
    """Return a column by name; DatasetError where there is none such, or no model takes what it holds."""
    if name not in held:
        raise DatasetError(f"got {named(held, 'columns')}, expected {shown(name)[1:-1]} as asked for")
    if held[name].unusable:
        expected = "text as the model's input" if text else "numbers"
        raise DatasetError(f"column {name} holds {held[name].unusable}, expected {expected}: leave it out by inputs")
    return held[name]


def check_weight(column: Column) -> None:
    """Refuse what is no weight of an example."""
    if column.dtype == TEXT or column.shape:
        raise DatasetError(
            f"column {column.name} holds {described(column)}, expected a number, the weight of an example"
        )


def check_input(one: Input, columns: Sequence[Column]) -> None:
    """Refuse what does not stand side by side in one array of numbers or, where the model takes it, of text."""
    for column in columns:
        if one.text and column.dtype != TEXT:
            raise DatasetError(f"column {column.name} holds {described(column)}, expected text as the model's input")
        if column.dtype == TEXT and not one.text:
            held = f"text ({column.no_number})" if column.no_number else "text"
            raise DatasetError(f"column {column.name} holds {held}, expected numbers: leave it out by inputs")
    if len(columns) > 1 and not one.text:
        check_side_by_side(columns, "or it alone as an input")


def check_side_by_side(columns: Sequence[Column], or_else: str) -> None:
    """Refuse columns of anything but single numbers."""
    for column in columns:
        if column.dtype == TEXT or column.shape:
            held = f"arrays of shape {column.shape}" if column.shape else "text"
            raise DatasetError(f"column {column.name} holds {held}, expected single numbers, {or_else}")
