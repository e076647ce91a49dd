"""A dataset of rows: tables, or images with their labels, of one file or of several; used by planner and splitter."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

from numpy.typing import NDArray

from common.data import schema
from common.data.arrays import Array, Pair
from common.data.columns import Asked, Columns
from common.data.npy import EXAMPLE_BYTES, EXAMPLES
from common.data.row_inputs import RowInput, inputs_of
from common.data.row_labels import RowLabel, labels_of
from common.data.rows import TEXT, Cells, Column, Grouped, RowFile, cells_from
from common.data.tally import Tally, complete, taken
from common.errors import DatasetError, placed, shown

TEST = "test: "  # begins the names of a test set's arrays


class RowFiles:
    """Rows of one or more files of the same columns, one after the other; `place` begins what is said of them.

    With the columns and the number of rows of a plan, the cells are not looked over again.
    """

    kind = "columns"  # what a sentence calls its parts

    def __init__(self, files: Sequence[RowFile], place: str, asked: Asked, like: Columns | None, rows: int) -> None:
        self.files, self.place = files, place
        self.widths: dict[str, int] = {}  # bytes of the longest text, by column
        with placed(place):
            self.held = schema.together([file.columns for file in files])
            self.columns = like or schema.chosen(self.held, asked)
            self.inputs = {one.name: one for one in inputs_of(self.held, self.columns.inputs)}
            self.labels = {one.name: one for one in labels_of(self.held, self.columns.labels)}
            self.weight = schema.usable(self.held, self.columns.weight) if self.columns.weight else None
            if self.weight:
                schema.check_weight(self.weight)
            self.group = schema.usable(self.held, self.columns.group) if self.columns.group else None
            self.rows = rows if like and rows else self._look(like)
            self.labels = {one.name: one for one in labels_of(self.held, self.columns.labels)}  # classes known

    def training(self) -> Pair:
        """Return the training set: all rows that are kept."""
        x = tuple(one.header(self.rows, self.columns.means, self.widths) for one in self.inputs.values())
        y = tuple(one.header(self.rows) for one in self.labels.values())
        pair = Pair(x, y, self._array(self.weight), self._array(self.group))
        largest = max(one.row_bytes for one in x)
        if largest > EXAMPLE_BYTES or self.rows > EXAMPLES:
            got = f"{self.rows} rows of {largest} bytes"
            raise DatasetError(f"{self.place}: got {got}, expected at most {EXAMPLES} of {EXAMPLE_BYTES}")
        return pair

    def _array(self, column: Column | None) -> Array | None:
        return Array(column.name, (self.rows, *column.shape), column.dtype) if column else None

    def held_out(self) -> Pair:
        """Return a held-out file's set: all its rows."""
        return replace(self.training(), weight=None, group=None)

    def test(self) -> Pair | None:
        """Return the test set that lies beside the training set in the same files, if there is one."""
        if not any(file.test for file in self.files):
            return None
        pair = self._beside(0).training()
        x, y = (tuple(replace(one, name=f"{TEST}{one.name}") for one in arrays) for arrays in (pair.x, pair.y))
        return Pair(x, y)

    def unused(self) -> list[str]:
        """Return the names of columns that no training uses."""
        return sorted(self.held.keys() - {column.name for column in self._used()})

    def batches(self, arrays: Sequence[Array], begin: int = 0) -> Iterator[list[NDArray[Any]]]:
        """Yield rows of arrays of `training()` or of `test()` side by side, batch by batch, from row `begin` on."""
        if arrays[0].name.startswith(TEST):
            own = [replace(array, name=array.name.removeprefix(TEST)) for array in arrays]
            yield from self._beside(arrays[0].shape[0]).batches(own, begin)
            return
        passed = begin if self.columns.missing == "drop" else 0  # of the rows that are kept
        for batch in self._rows(arrays, begin - passed):
            if passed < len(batch[0]):
                yield [rows[passed:] for rows in batch]
            passed = max(0, passed - len(batch[0]))

    def seeks(self) -> bool:
        """Tell whether nothing that lies before a row need be read: which rows are kept, only reading tells."""
        return self.columns.missing != "drop" and all(isinstance(file, Grouped) for file in self.files)

    def _rows(self, arrays: Sequence[Array], begin: int) -> Iterator[list[NDArray[Any]]]:
        drops = self.columns.missing == "drop"
        read = self._used() if drops else unique(column for array in arrays for column in self._columns(array))
        with placed(self.place):
            for batch in self._batches(read, begin):
                kept = complete(batch) if drops else slice(None)
                cells = [Cells(one.values[kept], one.missing[kept]) for one in batch]
                if len(cells[0].missing):
                    held = dict(zip([column.name for column in read], cells, strict=True))
                    yield [self._values(array, held) for array in arrays]

    def _beside(self, rows: int) -> "RowFiles":
        held = [file.test for file in self.files if file.test]
        return RowFiles(held, f"{self.place}: test set", Asked(), replace(self.columns, weight=None, group=None), rows)

    def _columns(self, array: Array) -> tuple[Column, ...]:
        ends: dict[str, RowInput | RowLabel] = {**self.labels, **self.inputs}
        return ends[array.name].columns if array.name in ends else (self.held[array.name],)

    def _values(self, array: Array, held: dict[str, Cells]) -> NDArray[Any]:
        if array.name in self.inputs:
            one = self.inputs[array.name]
            return one.values([held[column.name] for column in one.columns], array.dtype, self.columns.means)
        if array.name in self.labels:
            label = self.labels[array.name]
            return label.values([held[column.name] for column in label.columns], array.dtype)
        return held[array.name].values

    def _used(self) -> list[Column]:
        inputs = [column for one in self.inputs.values() for column in one.columns]
        labels = [column for one in self.labels.values() for column in one.columns]
        return unique([*inputs, *labels, *(one for one in (self.weight, self.group) if one)])

    def _look(self, like: Columns | None) -> int:
        """Take in the cells that are used; return how many rows are kept.

        Arrays of an example each are left to the splitter, where they may not be missing: images take minutes.
        """
        drops = self.columns.missing == "drop"
        looked_at = [column for column in self._used() if drops or not column.shape]
        texts = [column for one in self.inputs.values() if one.text for column in one.columns]
        labels = [one.columns[0] for one in self.labels.values() if len(one.columns) == 1]
        tallies, whole = taken(looked_at, labels, texts, self._batches(looked_at)) if looked_at else ([], 0)
        rows = whole if drops else sum(file.rows for file in self.files)
        if not rows:
            raise DatasetError("got no row without a missing value, expected at least one")
        if not drops:
            check_missing(tallies, self._filled(), self.columns.missing)
        names = {one.column.name: one.classes.sorted() for one in tallies if one.classes}
        self.widths = {one.column.name: one.width for one in tallies if one.width}
        if like:
            for one in self.labels.values():
                check_names(one, names.get(one.columns[0].name))
        else:
            named = tuple(replace(one, classes=names.get(one.columns[0])) for one in self.columns.labels)
            self.columns = replace(self.columns, labels=named, means=self._means(tallies, rows))
        return rows

    def _filled(self) -> list[Column]:
        """Return the columns of single values in which what is missing may be filled: of inputs alone."""
        labels = {column.name for one in self.labels.values() for column in one.columns}
        columns = [column for one in self.inputs.values() for column in one.columns]
        return [column for column in columns if not column.shape and column.name not in labels]

    def _means(self, tallies: Sequence[Tally], rows: int) -> dict[str, float] | None:
        if self.columns.missing != "mean":
            return None
        inputs = [column for one in self.inputs.values() if not one.text for column in one.columns]
        return {one.column.name: one.mean(rows) for one in tallies if one.column in inputs}

    def _batches(self, columns: Sequence[Column], begin: int = 0) -> Iterator[list[Cells]]:
        names = [column.name for column in columns]
        for number, file in enumerate(self.files, 1):
            if begin < file.rows:
                with placed(f"part {number}" if len(self.files) > 1 else None):
                    yield from cells_from(file, names, begin)
            begin = max(0, begin - file.rows)


def unique(columns: Iterable[Column]) -> list[Column]:
    """Return columns in their order, each once."""
    return list({column.name: column for column in columns}.values())


def check_names(label: RowLabel, names: tuple[str, ...] | None) -> None:
    """Refuse a held-out set whose labels are not the training set's, as `label` has them."""
    if label.classes and names is None:
        got = schema.described(label.columns[0])
        raise DatasetError(f"column {label.columns[0].name} holds {got}, expected text as in training")
    if unknown := set(names or ()) - set(label.classes or ()):
        raise DatasetError(
            f"column {label.columns[0].name}: got the label {shown(min(unknown))}, expected one of the training set's"
        )


def check_missing(tallies: Sequence[Tally], filled: Sequence[Column], missing: str | None) -> None:
    """Refuse a column with missing values, unless `missing` says by what it is filled."""
    for tally in tallies:
        ways = fillings(tally.column) if tally.column in filled else ("drop",)
        if tally.missing and missing not in ways:
            rows = "1 row" if tally.missing == 1 else f"{tally.missing} rows"
            got = f"column {tally.column.name} has no value in {rows}, the first is row {tally.first_missing}"
            last = f" or {ways[-1]}" if len(ways) > 1 else ""
            raise DatasetError(f"{got}, expected one in each, or missing: {', '.join(ways[:-1] or ways)}{last}")


def fillings(column: Column) -> tuple[str, ...]:
    """Return what `missing` may be for an input of single values."""
    return ("drop", "zero") if column.dtype == TEXT else ("drop", "zero", "mean")
