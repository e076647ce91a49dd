"""What a Parquet file's footer says of its row groups, and what of them fits memory; used by its reader."""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from common.data.rows import BATCH_BYTES
from common.errors import DatasetError

MAGIC, ENCRYPTED, TAIL_BYTES = b"PAR1", b"PARE", 8
FOOTER_BYTES = 8 << 20  # takes ten times as much in memory
CHUNK_BYTES = 64 << 20  # of a column in a row group: one page of it may be all
GROUP_BYTES = 112 << 20  # that the columns of a row group take while they are read side by side:
COPIES, PAGES_BYTES = 2, 5 << 19  # of each a page and a dictionary, at most 1 MB as a rule, packed and unpacked
NUMBER_BYTES = 8
BATCH_ROWS = 1 << 16
SMALLER = "write it with row_group_size="


def check_footer(file: BinaryIO) -> None:
    """Refuse a file that is encrypted, or whose footer memory does not hold."""
    file.seek(-TAIL_BYTES, io.SEEK_END)
    tail = file.read(TAIL_BYTES)
    if tail.endswith(ENCRYPTED):
        raise encrypted()
    if len(tail) == TAIL_BYTES and tail.endswith(MAGIC) and (size := int.from_bytes(tail[:4], "little")) > FOOTER_BYTES:
        got = f"{size >> 20} MB about row groups and columns"
        raise DatasetError(f"got {got}, expected at most {FOOTER_BYTES >> 20}: write it with fewer of them")
    file.seek(0)


@dataclass(frozen=True)
class Sizes:
    """How large the columns are, as the footer says, by row group and leaf (a struct has several)."""

    paths: Sequence[str]  # of the leaves
    rows: NDArray[np.int64]  # (groups,)
    unpacked: NDArray[np.int64]  # (groups, leaves), bytes
    numbers: NDArray[np.int64]  # (groups, leaves), those in lists counted each

    def leaves(self, names: Sequence[str]) -> list[int]:
        """Return the leaves of some columns."""
        wanted = {*names}
        return [leaf for leaf, path in enumerate(self.paths) if not wanted.isdisjoint(prefixes(path))]

    def batch_rows(self, leaves: Sequence[int]) -> int:
        """Return how many rows of some leaves to read at once; DatasetError where memory does not hold a row group."""
        unpacked, numbers = self.unpacked[:, leaves], self.numbers[:, leaves]
        if (most := int(unpacked.max(initial=0))) > CHUNK_BYTES:
            got = f"{most >> 20} MB of a column in a row group"
            raise DatasetError(f"got {got}, expected at most {CHUNK_BYTES >> 20}: {SMALLER}")
        if (taken := int(np.minimum(unpacked * COPIES, PAGES_BYTES).sum(axis=1).max(initial=0))) > GROUP_BYTES:
            got = f"row groups of which {len(leaves)} columns take {taken >> 20} MB at once"
            raise DatasetError(f"got {got}, expected at most {GROUP_BYTES >> 20}: {SMALLER}")
        widths = np.maximum(unpacked, numbers * NUMBER_BYTES).sum(axis=1) / np.maximum(1, self.rows)
        return int(max(1, min(BATCH_ROWS, BATCH_BYTES // max(1, widths.max(initial=1)))))


def prefixes(path: str) -> list[str]:
    """Return the columns that a leaf may be of: names may hold the dot that parts a path."""
    parts = path.split(".")
    return [".".join(parts[:length]) for length in range(1, len(parts) + 1)]


def check_columns(held: Any) -> None:
    """Refuse an open file with columns that are encrypted; the library's error for those that are damaged.

    Reads nothing, but raises what would end the process in `column` of a row group's metadata.
    """
    for group in range(held.metadata.num_row_groups):
        try:
            list(held.reader.iter_batches(0, row_groups=[group], use_threads=False))
        except OSError as error:
            if "decrypt" in str(error):
                raise encrypted() from None
            raise


def encrypted() -> DatasetError:
    """Return what to say of a file that is encrypted, in whole or in part."""
    return DatasetError("got encrypted Parquet, expected it without encryption")


def sizes_of(held: Any) -> Sizes:
    """Return the sizes of an open file's columns."""
    groups, leaves = held.metadata.num_row_groups, held.metadata.num_columns
    if leaves:
        check_columns(held)
    chunks = [[held.metadata.row_group(group).column(leaf) for leaf in range(leaves)] for group in range(groups)]
    packed = [[chunk.total_compressed_size for chunk in row] for row in chunks]
    unpacked = [[chunk.total_uncompressed_size for chunk in row] for row in chunks]
    return Sizes(
        [held.schema.column(leaf).path for leaf in range(leaves)],
        np.array([held.metadata.row_group(group).num_rows for group in range(groups)], np.int64),
        np.maximum(packed, unpacked).astype(np.int64).reshape(groups, leaves),
        np.array([[chunk.num_values for chunk in row] for row in chunks], np.int64).reshape(groups, leaves),
    )
