"""JSON lines: what each column is, after a look at all rows, and every value."""

import contextlib
import io
import json
import random

import pytest
from tests.cells import cells

from common.data.rows import TEXT, Column
from common.data.tables import json_lines
from common.errors import DatasetError


def lines(*rows):
    return "\n".join(row if isinstance(row, str) else json.dumps(row) for row in rows).encode() + b"\n"


def opened(*rows):
    return json_lines.open_file(lambda: io.BytesIO(lines(*rows)))


ODD = "lists of other than numbers of one shape (row 1)"
KINDS = [
    ([1, -2, 3], Column("a", "<i8")),
    ([1, 2.5, 3], Column("a", "<f8")),
    ([1, 2**64, 3], Column("a", "<f8")),
    ([True, False, True], Column("a", "|b1")),
    (["x", "ü", "1"], Column("a", TEXT)),
    ([[1, 2], [3, 4], [5, 6]], Column("a", "<i8", (2,))),
    ([[[1.5], [2]], [[3], [4]], [[5], [6]]], Column("a", "<f8", (2, 1))),
    ([[1, 2], [3], [4, 5]], Column("a", "<f8", unusable="lists of (2,) (row 1) and (1,) (row 2)")),
    ([[1, None], [3, 4], [5, 6]], Column("a", "<f8", unusable=f"{ODD} and (2,) (row 2)")),
    ([[], [], []], Column("a", "<f8", unusable=ODD)),
    ([{"b": 1}, {"b": 2}, {"b": 3}], Column("a", "<f8", unusable="objects (row 1 {'b': 1})")),
    ([1, "many", 3], Column("a", "<f8", unusable="numbers (row 1 1) and text (row 2 'many')")),
    ([None, None, None], Column("a", "<f8", unusable="no value in any row")),
]  # fmt: skip


@pytest.mark.parametrize(("column", "expected"), KINDS, ids=range(len(KINDS)))
def test_what_a_column_is(column, expected):
    found = opened(*({"a": value, "k": k} for k, value in enumerate(column)))
    assert found.columns == [expected, Column("k", "<i8")] and found.rows == 3
    if not expected.unusable:
        ((values, missing),) = cells(found, "a")
        assert values.tolist() == [float(v) if v == 2**64 else v for v in column] and not missing.any()
        assert values.shape == (3, *expected.shape)


def test_what_is_missing():
    found = opened({"a": 1, "b": "x", "c": [1, 2]}, {"b": None}, '{"a": NaN, "b": "z", "c": [3, 4]}')
    (a, b, c) = cells(found, "a", "b", "c")
    assert a[0].tolist() == [1.0, 0.0, 0.0] and a[1].tolist() == [False, True, True]
    assert b[0].tolist() == ["x", "", "z"] and b[1].tolist() == [False, True, False]
    assert c[0].tolist() == [[1, 2], [0, 0], [3, 4]] and c[1].tolist() == [False, True, False]


def test_many_batches_blank_lines_and_a_mark(monkeypatch):
    monkeypatch.setattr(json_lines, "LINES", 3)
    body = b"\xef\xbb\xbf" + b"\n\n".join(b'{"a": %d}' % k for k in range(10))  # and no line end
    found = json_lines.open_file(lambda: io.BytesIO(body))
    ((values, _),) = cells(found, "a")
    assert values.tolist() == list(range(10)) and len(list(found.batches(["a"]))) == 4


REFUSED = [
    (
        ['{"a": 1}', '{"a": }'],
        "row 2 is no JSON (Expecting value: line 1 column 7 (char 6)), expected an object a line",
    ),
    (['{"a": 1}', "[1]"], "row 2 is [1], expected an object a line"),
    (['{"a": 1, "a": 2}'], "row 1 is no JSON (a name twice in one object), expected an object a line"),
    ([""], "got no row, expected an object a line"),
    (['{"a": "' + "x" * (1 << 20) + '"}'], "row 1 has more than 1 MB, expected an object a line"),
    (
        ['{"a": ' + "[" * 100_000 + "]" * 100_000 + "}"],
        "row 1 is no JSON (maximum recursion depth exceeded while decoding a JSON array from a unicode string), "
        "expected an object a line",
    ),
]


@pytest.mark.parametrize(("rows", "expected"), REFUSED, ids=range(len(REFUSED)))
def test_a_refusal(rows, expected):
    with pytest.raises(DatasetError) as error:
        opened(*rows)
    assert str(error.value).startswith(expected)


def test_more_columns_than_fit():
    with pytest.raises(DatasetError, match="row 11: got more than 10000 columns, expected the same in each row"):
        opened(*({f"c{row}-{k}": 1 for k in range(1000)} for row in range(11)))


def test_text_that_was_changed_since_is_noticed():
    bodies = [lines({"a": 1}), lines({"a": 1}, {"a": 2})]
    found = json_lines.open_file(lambda: io.BytesIO(bodies.pop(0)))
    with pytest.raises(DatasetError, match="got 2 rows, expected 1 as at first: the file was changed"):
        list(found.batches(["a"]))


@pytest.mark.parametrize(
    ("head", "own"),
    [
        (b'{"a": 1}\n{"a"', True),
        (b'\xef\xbb\xbf{"a": 1}', True),
        (b'{"a": [' + b"1, " * 2000, True),
        (b'{\n"a": 1}', False),
        (b'[{"a": 1}]', False),
        (b"a,b\n1,2", False),
        (b"", False),
    ],
)
def test_what_is_taken_for_json_lines(head, own):
    assert json_lines.is_own(head[:4096]) is own


@pytest.mark.parametrize("seed", range(8))
def test_damaged_text_gives_rows_or_a_sentence(seed):
    generator = random.Random(seed)
    body = lines(*({"a": k, "b": f"x{k}", "c": [k, 0.5], "d": k > 3} for k in range(30)))
    for _ in range(60):
        damaged = bytearray(body)
        for _ in range(generator.randint(1, 5)):
            damaged[generator.randrange(len(damaged))] = generator.randrange(256)
        with contextlib.suppress(DatasetError):
            found = json_lines.open_file(lambda held=bytes(damaged): io.BytesIO(held))
            usable = [column.name for column in found.columns if not column.unusable]
            assert not usable or sum(len(batch[0].values) for batch in found.batches(usable)) == found.rows
