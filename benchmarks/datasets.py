"""Datasets of any size for benchmarks.split, a function a format: examples sorted by label, written block by block."""

import io
import tarfile
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
import pyarrow.parquet
from numpy.typing import NDArray
from PIL import Image

SIDE = 64
CLASSES = 10
EXAMPLE = (SIDE, SIDE, 3)
COLUMNS = 20  # of the table
BLOCK = 2000  # examples that are made at once
ARRAY, TABLE, IMAGES = (SIDE * SIDE * 3, 12 * COLUMNS, 3700)  # bytes of an example, about


def rows(size: int, example: int) -> int:
    """Return how many examples of so many bytes make up a size, a multiple of BLOCK."""
    return max(1, size // example // BLOCK) * BLOCK


def blocks(examples: int, shape: tuple[int, ...], dtype: str) -> Iterator[tuple[NDArray[Any], NDArray[np.int64]]]:
    """Yield examples and labels."""
    random = np.random.default_rng(0)
    noise = random.integers(0, 256, (BLOCK, *shape), np.uint8).astype(dtype)
    for first in range(0, examples, BLOCK):
        yield noise + np.dtype(dtype).type(first % 251), np.arange(first, first + BLOCK) * CLASSES // examples


def write_array(file: Any, examples: int, which: int) -> None:
    """Write an .npy of the inputs (0) or the labels (1)."""
    shape, dtype = ((examples, *EXAMPLE), "|u1") if which == 0 else ((examples,), "<i8")
    np.lib.format.write_array_header_1_0(file, {"descr": dtype, "fortran_order": False, "shape": shape})
    if which:
        file.write((np.arange(examples) * CLASSES // examples).tobytes())
        return
    for block, _ in blocks(examples, EXAMPLE, "|u1"):
        file.write(block.tobytes())


def npy(folder: Path, size: int) -> None:
    """Write two files of an array each."""
    for which, name in enumerate("xy"):
        with (folder / f"{name}.npy").open("wb") as file:
            write_array(file, rows(size, ARRAY), which)


def npz(folder: Path, size: int) -> None:
    """Write an .npz that is not compressed."""
    with zipfile.ZipFile(folder / "d.npz", "w") as archive:
        for which, name in enumerate("xy"):
            with archive.open(f"{name}.npy", "w", force_zip64=True) as file:
                write_array(file, rows(size, ARRAY), which)


def parquet(folder: Path, size: int) -> None:
    """Write Parquet with a column of lists; a byte takes four in it, and a row group has at most 64 MB of a column."""
    width = int(np.prod(EXAMPLE))
    schema = pyarrow.schema([("x", pyarrow.list_(pyarrow.uint8(), width)), ("y", pyarrow.int64())])
    with pyarrow.parquet.ParquetWriter(folder / "d.parquet", schema, compression="none", use_dictionary=False) as file:
        for x, y in blocks(rows(size, ARRAY), EXAMPLE, "|u1"):
            lists = pyarrow.FixedSizeListArray.from_arrays(pyarrow.array(x.ravel()), width)
            file.write_table(pyarrow.table({"x": lists, "y": y}, schema=schema), row_group_size=BLOCK // 2)


def csv(folder: Path, size: int) -> None:
    """Write a table of decimal numbers."""
    with (folder / "d.csv").open("w") as file:
        file.write(",".join([*(f"c{number}" for number in range(COLUMNS)), "y"]) + "\n")
        for x, y in blocks(rows(size, TABLE), (COLUMNS,), "<f8"):
            np.savetxt(file, np.column_stack([x / 1000 + 1.00001, y]), ["%.9f"] * COLUMNS + ["%d"], ",")


def images(folder: Path, size: int) -> None:
    """Write a tar of PNG files in a folder a class."""
    examples = rows(size, IMAGES)
    with tarfile.open(folder / "d.tar", "w") as archive:
        pngs = [encoded(image) for image in next(blocks(BLOCK, (32, 32, 3), "|u1"))[0]]
        for number in range(examples):
            body = pngs[number % BLOCK]
            info = tarfile.TarInfo(f"{number * CLASSES // examples}/{number}.png")
            info.size = len(body)
            archive.addfile(info, io.BytesIO(body))


def encoded(image: NDArray[np.uint8]) -> bytes:
    """Return a PNG."""
    file = io.BytesIO()
    Image.fromarray(image).save(file, "PNG")
    return file.getvalue()


FORMATS: dict[str, Callable[[Path, int], None]] = {
    "npy": npy,
    "npz": npz,
    "parquet": parquet,
    "csv": csv,
    "images": images,
}


def model(form: str) -> bytes:
    """Return a `.keras` file of a network that takes a format's examples."""
    import keras

    shape = {"parquet": (int(np.prod(EXAMPLE)),), "csv": (COLUMNS,), "images": (32, 32, 3)}.get(form, EXAMPLE)
    network = keras.Sequential([keras.Input(shape), keras.layers.Flatten(), keras.layers.Dense(CLASSES)])
    network.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True), metrics=["accuracy"])
    with tempfile.TemporaryDirectory() as folder:
        network.save(Path(folder) / "m.keras")
        return (Path(folder) / "m.keras").read_bytes()
