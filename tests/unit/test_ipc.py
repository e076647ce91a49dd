"""Arrow files and streams as anybody may have made them: record batches that memory does not hold, and other errors."""

import io
import os
import subprocess
import sys

import numpy as np
import pyarrow
import pytest
from tests.cells import cells

from common.data.rows import TEXT, Column
from common.data.tables import ipc
from common.errors import DatasetError, StoreError
from services import ROOT


def written(new, table, compression=None, **form):
    file = io.BytesIO()
    with new(file, table.schema, options=pyarrow.ipc.IpcWriteOptions(compression=compression)) as writer:
        writer.write_table(table, **form)
    return file.getvalue()


def opened(body):
    assert ipc.is_own(body[:4096])
    return ipc.open_file(lambda: io.BytesIO(body))


# whose memory is counted as it is taken
EXACT = {**os.environ, "ARROW_DEFAULT_MEMORY_POOL": "system", "PYTHONPATH": str(ROOT / "actions")}
FORMS = [pyarrow.ipc.new_file, pyarrow.ipc.new_stream]
TOO_LARGE = (
    "got a larger one, expected record batches of at most 1 MB: write it with chunksize= (pyarrow: max_chunksize=)"
)


@pytest.mark.parametrize("new", FORMS)
def test_record_batches_that_memory_does_not_hold(monkeypatch, new):
    monkeypatch.setattr(ipc, "BATCH_FILE_BYTES", 1 << 20)
    values = np.random.default_rng(0).normal(size=200_000)
    table = pyarrow.table({"a": values})
    with pytest.raises(DatasetError) as error:
        opened(written(new, table))
    assert str(error.value) == TOO_LARGE
    np.testing.assert_array_equal(cells(opened(written(new, table, max_chunksize=100_000)), "a")[0][0], values)


@pytest.mark.parametrize("new", FORMS)
def test_a_large_record_batch_among_small_ones(monkeypatch, new):
    monkeypatch.setattr(ipc, "BATCH_FILE_BYTES", 1 << 20)
    batches = [pyarrow.record_batch({"a": np.zeros(size)}) for size in (1, 200_000, *[1] * 50)]
    with pytest.raises(DatasetError) as error:
        opened(written(new, pyarrow.Table.from_batches(batches)))
    assert str(error.value) == TOO_LARGE


@pytest.mark.parametrize("new", FORMS)
def test_a_record_batch_is_handed_on_in_pieces(new):
    texts = [f"text {k}" for k in range(50_000)]
    found = opened(written(new, pyarrow.table({"a": texts})))
    sizes = [len(batch[0].values) for batch in found.batches(["a"])]
    assert sum(sizes) == 50_000 and max(sizes) < 20_000
    values, missing = cells(found, "a")[0]
    assert values.tolist() == texts and not missing.any()


@pytest.mark.parametrize("new", FORMS)
@pytest.mark.parametrize("compression", [None, "lz4", "zstd"])
def test_types_that_only_arrow_has(new, compression):
    table = pyarrow.table(
        {
            "view": pyarrow.array(["a view of a text", None, ""], pyarrow.string_view()),
            "half": pyarrow.array([0.5, None, 2], pyarrow.float16()),
            "lists": pyarrow.array([[1, 1], [2, 1], None], pyarrow.large_list(pyarrow.uint8())),
        }
    )
    found = opened(written(new, table, compression))
    assert list(found.columns) == [Column("view", TEXT), Column("half", "<f2"), Column("lists", "|u1", (2,))]
    held = [(values.tolist(), missing.tolist()) for values, missing in cells(found, "view", "half", "lists")]
    assert held == [
        (["a view of a text", "", ""], [False, True, False]),
        ([0.5, 0, 2], [False, True, False]),
        ([[1, 1], [2, 1], [0, 0]], [False, False, True]),
    ]


@pytest.mark.parametrize("new", FORMS)
def test_a_failing_store_is_no_damage(monkeypatch, new):
    body = written(new, pyarrow.table({"a": range(100_000)}))
    found = opened(body)

    class Failing(io.BytesIO):
        def readinto(self, buffer):
            if 1000 < self.tell() < len(body) - 10_000:  # amid the numbers
                raise StoreError("no answer")
            return super().readinto(buffer)

    monkeypatch.setattr(found, "_open", lambda: Failing(body))
    with pytest.raises(StoreError, match="^no answer$"):
        list(found.batches(["a"]))


@pytest.mark.parametrize("new", FORMS)
def test_an_image_whose_row_is_missing(new):
    fields = {"bytes": pyarrow.array([b"x", b"y"]), "path": pyarrow.array(["", ""])}
    absent = pyarrow.array([True, True])
    held = pyarrow.StructArray.from_arrays([*fields.values()], names=[*fields], mask=absent)
    found = opened(written(new, pyarrow.table({"a": held, "b": [1, 2]})))
    assert list(found.columns) == [Column("a", "|u1", unusable="no value in any row"), Column("b", "<i8")]


SCHEMA = pyarrow.schema([pyarrow.field("a", pyarrow.int64())], metadata={"pandas": "[" * 100_000})
SENTENCES = [
    (pyarrow.table({}), "got 0 columns, expected 1..10000"),
    (pyarrow.table({f"c{k}": [k] for k in range(10_001)}), "got 10001 columns, expected 1..10000"),
    (pyarrow.table({"__index_level_0__": [1]}, metadata={"pandas": '{"index_columns": ["__index_level_0__"]}'}),
     "got 1 columns of an index, expected others beside them"),
    (pyarrow.table({"a": [1]}, schema=SCHEMA),
     "got damaged Arrow (maximum recursion depth exceeded while decoding a JSON array from a unicode string), "
     "expected a whole file"),
]  # fmt: skip


@pytest.mark.parametrize("new", FORMS)
@pytest.mark.parametrize(("table", "sentence"), SENTENCES, ids=range(len(SENTENCES)))
def test_a_sentence(new, table, sentence):
    with pytest.raises(DatasetError) as error:
        opened(written(new, table))
    assert str(error.value) == sentence


READ = """
import io, pathlib, sys
from common.data.tables import ipc
from common.errors import DatasetError
body = sys.stdin.buffer.read()
try:
    sum(1 for _ in ipc.open_file(lambda: io.BytesIO(body)).batches(["a"]))
except DatasetError as error:
    print(error)
print(int(pathlib.Path("/proc/self/status").read_text().partition("VmHWM:")[2].split()[0]) >> 10)
"""


@pytest.mark.parametrize("new", FORMS)
def test_a_record_batch_that_unpacks_to_more_than_memory_holds(new):
    body = written(new, pyarrow.table({"a": np.zeros(25_000_000)}), "zstd")
    assert len(body) < 100_000
    done = subprocess.run([sys.executable, "-c", READ], input=body, capture_output=True, check=True, env=EXACT)
    said, taken = done.stdout.decode().splitlines()
    assert said == (
        "got Arrow in pieces that memory does not hold, expected smaller: "
        "write it with chunksize= (pyarrow: max_chunksize=)"
    )
    assert int(taken) < 256
