"""Which arrays of a dataset are inputs, labels and test set: as asked for, or by their names; used by datasets."""

from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import TypeVar

from common.data.columns import LABELS, Asked, Columns, Input, Label, named, read_columns
from common.errors import DatasetError, shown

PAIRS = (("x_train", "y_train"), ("x", "y"))
TEST = ("x_test", "y_test")
TRAIN_END, TEST_END = "_train", "_test"  # of an array's name
End = TypeVar("End", Input, Label)  # of the model


class ArrayNames:
    """The names of a dataset's arrays; DatasetError, without the dataset's address, where a wanted one is not there."""

    def __init__(self, held: Collection[str]) -> None:
        self.held = set(held)

    def chosen(self, asked: Asked) -> Columns:
        """Return which arrays are inputs and labels."""
        for name in (*read_columns((*asked.inputs, *asked.labels)), asked.weight, asked.group):
            if name is not None and name not in self.held:
                raise self._lacking(f"{shown(name)[1:-1]} as asked for")
        others = {name for name in self.held - {asked.weight, asked.group, *TEST} if not self._is_test(name)}
        if len(asked.labels) > 1:
            inputs, labels = self._labelled(asked, others)
        else:
            inputs, label = self._single(asked, others) if len(asked.inputs) == 1 else self._several(asked, others)
            labels = (replace(asked.labels[0], columns=(label,)),)
        return Columns(inputs, labels, asked.weight, asked.group)

    def own(self, columns: Columns) -> tuple[str, ...]:
        """Return the arrays of the training set, labels last."""
        return (*read_names(columns.inputs), *read_names(columns.labels))

    def held_out(self, columns: Columns) -> tuple[str, ...]:
        """Return the arrays of a held-out file: as in training, with or without what tells training from test."""
        own = self.own(columns)
        usual = [("x", "y"), TEST] if len({*own}) == len(own) == len(TEST) else []
        for names in (*usual, own, tuple(map(stem, own)), tuple(map(test_name, own))):
            if self.held >= {*names}:
                return names
        raise self._lacking("x and y, or x_test and y_test" if usual else f"{', '.join(own)} as in training")

    def test(self, columns: Columns) -> tuple[str, ...] | None:
        """Return the arrays of the dataset's own test set, None where it has none; DatasetError for a part of it."""
        own = tuple(map(test_name, self.own(columns)))
        names = TEST if len({*own}) == len(own) == len(TEST) and not self.held & {*own} else own
        lacking = sorted({*names} - self.held)
        if not lacking:
            return names
        if there := sorted(self.held & {*names}):
            expected = "both or neither" if len(names) == len(TEST) else "all or none"
            raise DatasetError(f"got {', '.join(there)} without {', '.join(lacking)}, expected {expected}")
        return None

    def unused(self, columns: Columns) -> list[str]:
        """Return the names of arrays that no training uses."""
        own = self.own(columns)
        return sorted(self.held - {*own, columns.weight, columns.group, *TEST, *map(test_name, own)})

    def _is_test(self, name: str) -> bool:
        begins = name.removesuffix(TEST_END)
        return begins != name and bool(self.held & {begins, begins + TRAIN_END})

    def _single(self, asked: Asked, others: set[str]) -> tuple[tuple[Input, ...], str]:
        given, label = asked.inputs[0], asked_name(asked.labels[0])
        x = asked_name(given)
        if x is None and given.name in others - {label} and not any(self.held >= {*pair} for pair in PAIRS):
            x = given.name
        x, y = self._pair(x, label, others)
        return (replace(given, columns=(x,)),), y

    def _several(self, asked: Asked, others: set[str]) -> tuple[tuple[Input, ...], str]:
        """Find inputs by their names in the model, and as label what is called so or is left."""
        inputs = self._by_name(asked.inputs, others, "an input of the model is called: say by inputs")
        left = others - {*read_columns(inputs)}
        found = [name for name in ("y_train", *LABELS) if name in left] or sorted(left)
        label = asked_name(asked.labels[0]) or (found[0] if len(found) == 1 else None)
        if label is None:
            raise self._lacking("one of them as label")
        return inputs, label

    def _labelled(self, asked: Asked, others: set[str]) -> tuple[tuple[Input, ...], tuple[Label, ...]]:
        """Find labels by the names of the model's outputs; inputs by theirs, the only one as what is left, too."""
        labels = self._by_name(asked.labels, others, "an output of the model is called: say by label")
        left, one = others - {*read_columns(labels)}, asked.inputs[0]
        if len(asked.inputs) > 1 or one.columns:
            return self._by_name(asked.inputs, left, "an input of the model is called: say by inputs"), labels
        usual = [name for name in (one.name + TRAIN_END, one.name, "x_train", "x") if name in left]
        found = usual[:1] or sorted(left)
        if len(found) != 1:
            raise self._lacking("one of them as inputs")
        return (replace(one, columns=(found[0],)),), labels

    def _by_name(self, ends: Sequence[End], others: set[str], how: str) -> tuple[End, ...]:
        """Return inputs or labels with an array each: as asked for, or by its name in the model."""
        found = []
        for one in ends:
            names = one.columns or [name for name in (one.name + TRAIN_END, one.name) if name in others]
            if not names:
                raise self._lacking(f"{shown(one.name)[1:-1]} as {how} which array it takes")
            found.append(replace(one, columns=(names[0],)))
        return tuple(found)

    def _pair(self, x: str | None, y: str | None, others: set[str]) -> tuple[str, str]:
        """Find inputs and labels: as asked for, or by the names that they have as a rule."""
        if x or y:
            return self._completed(x, y, others)
        for pair in PAIRS:
            if self.held >= {*pair}:
                return pair
        if len(others) == 2 and len(found := [name for name in LABELS if name in others]) == 1:
            return self._completed(None, found[0], others)
        raise self._lacking("x_train and y_train, or x and y, or their names by inputs and label")

    def _completed(self, x: str | None, y: str | None, others: set[str]) -> tuple[str, str]:
        """Find the array beside the one that was asked for: its partner by name, or the only other one."""
        if x and y:
            return x, y
        given = x or y
        partners = [a if b == given else b for a, b in PAIRS if given in (a, b)]
        left = [name for name in partners if name in self.held] or sorted(others - {given})
        if len(left) != 1:
            raise self._lacking(f"one of them as {'label' if x else 'inputs'}")
        return x or left[0], y or left[0]

    def _lacking(self, expected: str) -> DatasetError:
        return DatasetError(f"got {named(self.held)}, expected {expected}")


def check_asked(asked: Asked) -> None:
    """Refuse what is said of columns alone, and several arrays for one input."""
    if asked.missing or asked.image_size:
        given = "missing" if asked.missing else "image_size"
        raise DatasetError(f"{given}: got a value, expected none, as the dataset holds arrays")
    check_single("inputs", asked.inputs)
    check_single("label", asked.labels)


def check_single(parameter: str, ends: Sequence[Input | Label]) -> None:
    """Refuse several arrays for one input or output."""
    for one in ends:
        if len(one.columns) > 1:
            place = f"{parameter}: {shown(one.name)[1:-1]}" if len(ends) > 1 else parameter
            raise DatasetError(f"{place}: got {len(one.columns)} arrays, expected one")


def asked_name(one: Input | Label) -> str | None:
    """Return the array that was asked for, None where nobody has said."""
    return one.columns[0] if one.columns else None


def read_names(ends: Sequence[Input | Label]) -> tuple[str, ...]:
    """Return the array of each input or label, in their order; two may have the same one."""
    return tuple(one.columns[0] for one in ends)


def stem(name: str) -> str:
    """Return an array's name without what says that it is of the training set."""
    return name.removesuffix(TRAIN_END)


def test_name(name: str) -> str:
    """Return the name of an array's part in the test set."""
    return stem(name) + TEST_END
