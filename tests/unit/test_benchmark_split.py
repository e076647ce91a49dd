"""The split's benchmark: its datasets in each format, and how it gives a wave to fewer splitters."""

import tarfile

import numpy as np
import pandas
import pytest
from benchmarks import datasets, split
from pyarrow import parquet


@pytest.fixture(params=datasets.FORMATS)
def made(request, tmp_path):
    """Give a format, its smallest file or files, and their labels."""
    datasets.FORMATS[request.param](tmp_path, 1)
    return request.param, tmp_path


def labels(form, folder):
    """Return a dataset's labels by readers that are not ours."""
    if form == "images":
        with tarfile.open(folder / "d.tar") as archive:
            return [int(name.partition("/")[0]) for name in archive.getnames()]
    if form == "npy":
        return np.load(folder / "y.npy").tolist()
    if form == "npz":
        return np.load(folder / "d.npz")["y"].tolist()
    table = pandas.read_csv(folder / "d.csv") if form == "csv" else parquet.read_table(folder / "d.parquet").to_pandas()
    return table["y"].tolist()


def test_every_format_is_sorted_by_label(made):
    assert labels(*made) == np.repeat(np.arange(10), datasets.BLOCK // 10).tolist()


def test_a_wave_is_given_to_fewer_splitters():
    value = [{"wave": "split-0", "slices": share} for share in ([0, 1], [2], [3, 4])]
    assert [one["slices"] for one in split.merged(value, 1)] == [[0, 1, 2, 3, 4]]
    assert [one["slices"] for one in split.merged(value, 2)] == [[0, 1, 3, 4], [2]]
    assert split.merged(value, 8) == value


def test_a_row_compares_with_a_plain_copy():
    line = {"format": "npy", "size": 1, "bytes": 10**9, "copy": 5.0, "splitters": 4, "plan": 0.5, "split": 8.0}
    expected = "| npy | 1.0 | 4 | 0.5 | 8.0 | 1 | 125 | 200 | 0.62 | 100 |"
    assert split.row({**line, "waves": 1, "memory": 100 << 20}) == expected
