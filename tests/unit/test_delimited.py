"""CSV, TSV and semicolons: what each column is, after a look at all rows, and every cell's value."""

import contextlib
import io
import random

import numpy as np
import pandas
import pytest
from tests.cells import cells

from common.data.rows import TEXT, Column
from common.data.tables import delimited
from common.errors import DatasetError


def table(text):
    body = text if isinstance(text, bytes) else text.encode()
    return delimited.open_file(lambda: io.BytesIO(body))


KINDS = [
    (["1", "-2", "+3"], "<i8", [1, -2, 3]),
    (["1", "2.5", " 1e3 "], "<f8", [1, 2.5, 1000]),
    ([".5", "5.", "inf"], "<f8", [0.5, 5, np.inf]),
    (["123456789012345678", "1234567890123456789", "1"], "<f8", [123456789012345678.0, 1234567890123456789.0, 1]),
    (["True", "false", "TRUE"], "|b1", [True, False, True]),
    (["a", '"b, c"', "1"], TEXT, ["a", "b, c", "1"]),
    (["007", "8", "9"], "<i8", [7, 8, 9]),
    (["0x10", "8", "9"], TEXT, ["0x10", "8", "9"]),
    (["2026-01-02", "2026-01-03", "x"], TEXT, ["2026-01-02", "2026-01-03", "x"]),
    (['"two\nlines"', "ä", "日本"], TEXT, ["two\nlines", "ä", "日本"]),
]


@pytest.mark.parametrize(("column", "dtype", "expected"), KINDS, ids=range(len(KINDS)))
@pytest.mark.parametrize(("mark", "end", "mask"), [(",", "\n", ""), ("\t", "\r\n", "\ufeff"), (";", "\n", "")])
def test_what_a_column_is(column, dtype, expected, mark, end, mask):
    lines = ["a" + mark + "other", *(cell + mark + str(k) for k, cell in enumerate(column))]
    found = table(mask + end.join(lines) + end)
    assert (found.columns[0].name, found.columns[0].dtype, found.rows) == ("a", dtype, 3)
    (values, missing), (others, _) = cells(found, "a", "other")
    assert values.tolist() == expected and others.tolist() == [0, 1, 2] and not missing.any()
    assert dtype == TEXT or values.dtype.str == dtype


@pytest.mark.parametrize("empty", ["", "NA", "NaN", "null", "  ", "n/a"])
def test_missing_cells(empty):
    found = table(f"a,b,c,d\n1,x,true,{empty}\n{empty},{empty},{empty},{empty}\n3,z,false,{empty}\n")
    assert [column.dtype for column in found.columns[:3]] == ["<i8", TEXT, "|b1"]
    assert found.columns[3] == Column("d", "<f8", unusable="no value in any row")
    for (values, missing), expected in zip(
        cells(found, "a", "b", "c"), ([1, 0, 3], ["x", "", "z"], [True, False, False]), strict=True
    ):
        assert values.tolist() == expected and missing.tolist() == [False, True, False]


def test_a_column_that_is_no_number_at_its_end_names_the_cell(monkeypatch):
    monkeypatch.setattr(delimited, "BLOCK_BYTES", 100)
    lines = ["a,b", *(f"{k},{k / 2}" for k in range(100)), "many,1"]
    assert table("\n".join(lines)).columns == [
        Column("a", TEXT, no_number="row 101 'many'"),
        Column("b", "<f8"),
    ]


def test_many_blocks_give_what_one_gives(monkeypatch):
    frame = pandas.DataFrame(np.random.default_rng(1).normal(size=(500, 3)), columns=list("abc"))
    monkeypatch.setattr(delimited, "BLOCK_BYTES", 1000)
    found = table(frame.to_csv(index=False))
    assert len(list(found.batches(["a"]))) > 20
    for name, (values, _) in zip("cab", cells(found, "c", "a", "b"), strict=True):
        np.testing.assert_array_equal(values, frame[name])


def test_a_frame_with_an_index_and_numbered_columns():
    frame = pandas.DataFrame([[1, 2], [3, 4]])
    assert [column.name for column in table(frame.to_csv(index=False)).columns] == ["0", "1"]
    assert [column.name for column in table(frame.add_prefix("a").to_csv()).columns] == ["column 1", "a0", "a1"]


HEADLESS = "in the first line, expected the columns' names there"
REFUSED = [
    ("a,b,c\n1,2,3\n1,2\n", "row 2 has 2 cells, expected 3 as in the header"),
    ("a,b,c\n1,2,3\n\n1,2,3,4\n", "row 2 has 4 cells, expected 3 as in the header"),
    ("a,b\n", "got a header alone, expected rows below it"),
    (b"a,b\n1,2\n1,\xff\n", "row 2, column 2: got no UTF-8, expected the table in UTF-8"),
    ("a,b,a\n1,2,3\n", "got two columns a, expected a name of its own for each"),
    ("5.1,3.5,setosa\n4.9,3.0,setosa\n", f"got the cells 3.5, 5.1, setosa {HEADLESS}"),
    ("1,2,3\n4,5,6\n", f"got the cells 1, 2, 3 {HEADLESS}"),
    (f"a,b\n1,{'x' * (3 << 20)}\n", "got a row above 1 MB, or a quote that never ends; expected a line a row"),
    (f'a,b\n1,"2\n{"3,4" * (1 << 20)}\n', "got a row above 1 MB, or a quote that never ends; expected a line a row"),
    (
        ",".join(f"c{k}" for k in range(4001)) + "\n",
        "got 4001 columns, expected at most 4000: store them as one list in Parquet",
    ),
]


@pytest.mark.parametrize(("text", "expected"), REFUSED, ids=range(len(REFUSED)))
def test_a_refusal(text, expected):
    with pytest.raises(DatasetError) as error:
        table(text)
    assert str(error.value) == expected


def test_text_that_was_changed_since_is_noticed():
    bodies = [b"a,b\n1,2\n3,4\n", b"a,b\n1,2\n3,4\n", b"a,b\n1,2\n3,4\n5,6\n"]
    found = delimited.open_file(lambda: io.BytesIO(bodies.pop(0)))
    with pytest.raises(DatasetError, match="got 3 rows, expected 2 as at first: the file was changed"):
        list(found.batches(["a"]))


@pytest.mark.parametrize(
    ("head", "own"),
    [
        (b"a,b\n1,2\n", True),
        (b"a\tb\n1\t2", True),
        (b'"a, b";c\n"1, 2";3\n', True),
        (b"\xef\xbb\xbfa,b\n1,2\n", True),
        ("ä,b\n1,".encode() + "ö".encode()[:1], True),
        (b"text\nlines\n", False),
        (b"a,\0b\n", False),
        (b"\xff\xfea,b,c,d\n1,2\n", False),
        (b"", False),
    ],
)
def test_what_is_taken_for_a_table(head, own):
    assert delimited.is_own(head) is own


@pytest.mark.parametrize("seed", range(8))
def test_damaged_text_gives_rows_or_a_sentence(seed):
    generator = random.Random(seed)
    body = pandas.DataFrame({"a": range(30), "b": [f'x "{k}", y' for k in range(30)], "c": 0.5}).to_csv(index=False)
    for _ in range(60):
        damaged = bytearray(body.encode())
        for _ in range(generator.randint(1, 5)):
            damaged[generator.randrange(len(damaged))] = generator.randrange(256)
        with contextlib.suppress(DatasetError):
            found = table(bytes(damaged[: generator.randint(1, len(damaged))]))
            assert sum(len(batch[0].values) for batch in found.batches([found.columns[0].name])) == found.rows
