"""Parquet as anybody may have made it: what of it is read at once, and what ends in a sentence, not the process."""

import io
import os
import subprocess
import sys

import numpy as np
import pyarrow
import pyarrow.parquet as pyarrow_parquet
import pytest
from pyarrow.parquet import encryption
from tests.cells import cells

from common.data.rows import TEXT, Column
from common.data.tables import parquet, parquet_footer
from common.errors import DatasetError, StoreError
from services import ROOT


class Store(io.RawIOBase):
    """A file that notes the pieces it is read in."""

    def __init__(self, body):
        self.body, self.at, self.pieces = io.BytesIO(body), 0, []

    def readable(self):
        return True

    def seekable(self):
        return True

    def seek(self, offset, whence=io.SEEK_SET):
        return self.body.seek(offset, whence)

    def readinto(self, buffer):
        self.pieces.append(len(buffer))
        return self.body.readinto(buffer)


def written(table, **form):
    file = io.BytesIO()
    pyarrow_parquet.write_table(table, file, **form)
    return file.getvalue()


def opened(body):
    assert parquet.is_own(body[:4096])
    return parquet.open_file(lambda: io.BytesIO(body))


def numbers(rows, columns):
    values = np.random.default_rng(0).normal(size=(rows, columns))
    return values, pyarrow.table({f"c{k}": values[:, k] for k in range(columns)})


def test_a_row_group_is_read_piece_by_piece():
    values, table = numbers(200_000, 3)
    body = written(table, compression="none")
    stores = []

    def opening():
        stores.append(Store(body))
        return io.BufferedReader(stores[-1], 4 << 20)

    found = parquet.open_file(opening)
    for place, (held, missing) in enumerate(cells(found, "c0", "c1", "c2")):
        np.testing.assert_array_equal(held, values[:, place])
        assert not missing.any()
    pieces = stores[-1].pieces
    assert max(pieces) <= parquet.BUFFER_BYTES + parquet.BLOCK_BYTES and sum(pieces) < 1.2 * len(body)


def test_few_rows_are_read_at_once_where_lists_are_long_though_they_are_packed():
    table = pyarrow.table({"a": pyarrow.FixedSizeListArray.from_arrays(pyarrow.array(np.zeros(1 << 22)), 4096)})
    file = pyarrow_parquet.ParquetFile(io.BytesIO(written(table)))
    sizes = parquet_footer.sizes_of(file)
    assert sizes.unpacked.sum() < 1 << 20 and sizes.batch_rows(sizes.leaves(["a"])) == 256


def test_names_with_dots_are_those_of_columns():
    found = opened(written(pyarrow.table({"a.b": [1, 2], "a": [3, 4], "a.b.c": ["x", "y"]})))
    assert list(found.columns) == [Column("a.b", "<i8"), Column("a", "<i8"), Column("a.b.c", TEXT)]
    held = cells(found, "a.b.c", "a", "a.b")
    assert [values.tolist() for values, _ in held] == [["x", "y"], [3, 4], [1, 2]]


def test_a_failing_store_is_no_damage(monkeypatch):
    body = written(numbers(2000, 2)[1])
    found = opened(body)

    def failing(_, __):
        raise StoreError("no answer")

    monkeypatch.setattr(Store, "readinto", failing)
    monkeypatch.setattr(found, "_open", lambda: io.BufferedReader(Store(body)))
    with pytest.raises(StoreError, match="^no answer$"):
        list(found.batches(["c0"]))


class Vault(encryption.KmsClient):
    """Wraps keys by nothing."""

    def __init__(self, _):
        super().__init__()

    def wrap_key(self, key, _):
        return key.hex()

    def unwrap_key(self, key, _):
        return bytes.fromhex(key)


def encrypted(plaintext_footer):
    given = encryption.EncryptionConfiguration("k", column_keys={"k": ["a"]}, plaintext_footer=plaintext_footer)
    connection = encryption.KmsConnectionConfig()
    properties = encryption.CryptoFactory(Vault).file_encryption_properties(connection, given)
    return written(pyarrow.table({"a": [1, 2], "b": [3, 4]}), encryption_properties=properties)


def footer_of(body, size):
    return body[:-8] + size.to_bytes(4, "little") + body[-4:]


def claiming(rows):
    """Return a file whose footer claims other rows than its row groups have: Thrift writes 60 as 120."""
    body = written(pyarrow.table({"a": range(60)}), store_schema=False)
    place = body.index(b"\x16\x78\x19", len(body) - int.from_bytes(body[-8:-4], "little") - 8)
    return body[: place + 1] + bytes([rows * 2]) + body[place + 2 :]


SHORT = "Parquet file size is 4 bytes, smaller than the minimum file footer (8 bytes)"
SENTENCES = [
    (encrypted(False), "got encrypted Parquet, expected it without encryption"),
    (encrypted(True), "got encrypted Parquet, expected it without encryption"),
    (
        footer_of(written(pyarrow.table({"a": [1]})), 9 << 20),
        "got 9 MB about row groups and columns, expected at most 8: write it with fewer of them",
    ),
    (claiming(50), "got damaged Parquet (60 of 50 rows), expected a whole file"),
    (claiming(63), "got damaged Parquet (60 of 63 rows), expected a whole file"),
    (claiming(0), "got no row, expected at least one"),
    (b"PAR1", f"got damaged Parquet ({SHORT}), expected a whole file"),
    (written(pyarrow.table({})), "got 0 columns, expected 1..10000"),
]


@pytest.mark.parametrize(("body", "sentence"), SENTENCES, ids=range(len(SENTENCES)))
def test_a_sentence(body, sentence):
    with pytest.raises(DatasetError) as error:
        cells(opened(body), "a")
    assert str(error.value) == sentence


def test_what_is_packed_once_more():
    class Packed(io.BytesIO):
        def seekable(self):
            return False

    with pytest.raises(
        DatasetError, match="^got Parquet inside of another packing, expected the file itself: it packs"
    ):
        parquet.open_file(lambda: Packed(written(pyarrow.table({"a": [1]}))))


BOUNDS = [
    ("CHUNK_BYTES", 1 << 20, "got 1 MB of a column in a row group, expected at most 1: write it with row_group_size="),
    (
        "GROUP_BYTES",
        1 << 20,
        "got row groups of which 2 columns take 5 MB at once, expected at most 1: write it with row_group_size=",
    ),
]


@pytest.mark.parametrize(("bound", "size", "sentence"), BOUNDS, ids=[bound for bound, *_ in BOUNDS])
def test_what_memory_does_not_hold(monkeypatch, bound, size, sentence):
    monkeypatch.setattr(parquet_footer, bound, size)
    values, table = numbers(200_000, 2)
    with pytest.raises(DatasetError) as error:
        cells(opened(written(table)), "c0", "c1")
    assert str(error.value) == sentence
    found = opened(written(table, row_group_size=10_000))
    np.testing.assert_array_equal(cells(found, "c1")[0][0], values[:, 1])


READ = """
import io, pathlib, sys
from common.data.tables import arrow_reading, parquet, parquet_footer
from common.errors import DatasetError
parquet_footer.CHUNK_BYTES = 1 << 40  # as if the footer said less
body = sys.stdin.buffer.read()
try:
    sum(1 for _ in parquet.open_file(lambda: io.BytesIO(body)).batches(["a"]))
except DatasetError as error:
    print(error)
print(int(pathlib.Path("/proc/self/status").read_text().partition("VmHWM:")[2].split()[0]) >> 10)
"""


# whose memory is counted as it is taken
EXACT = {**os.environ, "ARROW_DEFAULT_MEMORY_POOL": "system", "PYTHONPATH": str(ROOT / "actions")}


def alone(body):
    """Return what a process of its own says of a file, and the MB it takes."""
    done = subprocess.run([sys.executable, "-c", READ], input=body, capture_output=True, check=True, env=EXACT)
    *said, taken = done.stdout.decode().splitlines()
    return said, int(taken)


def test_a_page_that_unpacks_to_more_than_memory_holds():
    form = {"use_dictionary": False, "data_page_size": 1 << 30, "max_rows_per_page": 1 << 30, "compression": "zstd"}
    body = written(pyarrow.table({"a": np.zeros(25_000_000)}), row_group_size=1 << 30, write_batch_size=1 << 30, **form)
    assert len(body) < 100_000
    said, taken = alone(body)
    assert said == ["got Parquet in pieces that memory does not hold, expected smaller: write it with row_group_size="]
    assert taken < 256


def test_a_column_whose_metadata_the_library_rejects_does_not_end_the_process():
    body = written(pyarrow.table({"a": [1.5, None, 2.5], "b": ["x", "y", None]}))
    optional, required = b"\x25\x02\x18\x01a", b"\x25\x00\x18\x01a"  # Thrift: how often a value is there, the name
    assert body.count(optional) == 1
    said, _ = alone(body.replace(optional, required))  # its statistics count levels that it then lacks
    reason = "Definition level histogram size mismatch, size: 2, expected: 1"
    assert said == [f"got damaged Parquet ({reason}), expected a whole file"]
