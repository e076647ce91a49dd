"""What a user may hold in place of an .npz or a `.keras` file, and the lines of Python that make one of it.

Used by the planner. Each answer ends in lines that run as they stand; tests run them.
"""

import re
from collections.abc import Iterable
from pathlib import PurePosixPath

HEAD_BYTES = 1 << 12  # of a file: enough to know it by
IMAGES = (".png", ".jpg", ".jpeg", ".gif", ".bmp")
ZIP, HDF5, NPY, PARQUET = b"PK", b"\x89HDF\r\n\x1a\n", b"\x93NUMPY", b"PAR1"
SAVED = "model.compile('adam', 'mse'); model.save('m.keras')"  # by the user's own optimizer and loss
EXPECTED_NPZ, EXPECTED_KERAS = "expected an .npz of x and y", "expected a compiled .keras file"


def file_name(key: str) -> str:
    """Return an object's name as a line of Python may quote it."""
    return re.sub(r"[^\w.-]", "_", PurePosixPath(key).name, flags=re.ASCII)[-40:] or "data"


def of_dataset(head: bytes, key: str) -> str | None:
    """Return what a dataset that is no zip seems to be, and what to do; None where its first bytes do not tell."""
    name = file_name(key)
    if head.startswith(NPY):
        lines = f"import numpy; numpy.savez('d.npz', x=numpy.load('{name}'), y=numpy.load('labels.npy'))"
        return f"got one array, {EXPECTED_NPZ}: {lines}"
    if head.startswith(PARQUET):
        lines = (
            f"import numpy, pandas; t = pandas.read_parquet('{name}'); "
            "numpy.savez('d.npz', x=t.iloc[:, :-1].to_numpy(), y=t.iloc[:, -1].to_numpy())"
        )
        return f"got a Parquet file, {EXPECTED_NPZ}: {lines}"
    if head.startswith(HDF5):
        lines = f"import h5py, numpy; f = h5py.File('{name}'); numpy.savez('d.npz', x=f['x'], y=f['y'])"
        return f"got an HDF5 file, {EXPECTED_NPZ}: {lines}"
    return of_table(head, name)


def of_table(head: bytes, name: str) -> str | None:
    """Return what to do with a table of text, None for what is none; its last column is taken for the label."""
    text = head.decode(errors="replace")  # of which the last character may be cut
    rows = text.splitlines()
    whole = len(rows) > 2 or len(head) < HEAD_BYTES  # the second row, too
    split = None if b"\0" in head or "\ufffd" in text[:-1] else separator(rows[:2], whole)
    if split is None:
        return None
    skip = 0 if is_number(rows[0].split(split)[0]) else 1
    label = "t[:, -1].astype('float32')"
    if not is_number(rows[1].split(split)[-1]):
        label = "numpy.unique(t[:, -1], return_inverse=True)[1]"
    lines = (
        f"import numpy; t = numpy.loadtxt('{name}', str, delimiter={split!r}, skiprows={skip}); "
        f"numpy.savez('d.npz', x=t[:, :-1].astype('float32'), y={label})"
    )
    return f"got a table of text, {EXPECTED_NPZ}: {lines}"


def separator(rows: list[str], whole: bool) -> str | None:
    """Return what stands between the cells of two rows, equally often in both where the second is whole."""
    for mark in ",;\t":
        counts = [row.count(mark) for row in rows]
        if len(counts) == 2 and counts[0] and (counts[0] == counts[1] or not whole):
            return mark
    return None


def is_number(cell: str) -> bool:
    """Return whether a table's cell is a number."""
    try:
        float(cell)
    except ValueError:
        return False
    return True


def of_members(members: Iterable[str], key: str) -> str:
    """Return what to do with a zip of other things than the arrays expected; empty where there is no telling."""
    names = sorted(members)
    if any(name.lower().endswith(IMAGES) for name in names):
        return f": {image_lines('folder')}"
    arrays = [name.removesuffix(".npy") for name in names if re.fullmatch(r"[\w.-]{1,30}\.npy", name, re.ASCII)]
    if len(arrays) < 2:
        return ""
    lines = f"import numpy; f = numpy.load('{file_name(key)}')"
    return f": {lines}; numpy.savez('d.npz', x=f['{arrays[0]}'], y=f['{arrays[1]}'])"


def image_lines(folder: str) -> str:
    """Return lines that make an .npz of a folder with a folder of images a class."""
    return (
        "import keras, numpy; "
        f"s = keras.utils.image_dataset_from_directory('{folder}', image_size=(64, 64), batch_size=None); "
        "x, y = zip(*s.as_numpy_iterator()); numpy.savez('d.npz', x=numpy.stack(x).astype('uint8'), y=numpy.array(y))"
    )


def of_folder(parameter: str, keys: list[str]) -> str:
    """Return what to do with a folder, `keys` some of what lies in it, given as `dataset` or `model`."""
    if parameter == "model":
        saved = any(key.endswith("saved_model.pb") for key in keys)
        return saved_model() if saved else f"got a folder, {EXPECTED_KERAS}: model.save('m.keras')"
    images = any(key.lower().endswith(IMAGES) for key in keys)
    return f"got a folder, {EXPECTED_NPZ}" + (f": {image_lines('folder')}" if images else "")


def saved_model() -> str:
    """Return what to do with TensorFlow's own format, which Keras 3 does not load."""
    return f"got a TensorFlow SavedModel, {EXPECTED_KERAS}: make the model as before it was exported; {SAVED}"


def of_model(head: bytes, key: str, holds_config: bool) -> str | None:
    """Return what a model's file that is no zip seems to be, and what to do; `holds_config` is asked for HDF5."""
    name = file_name(key)
    if head.startswith(HDF5) and holds_config:
        lines = f"import keras; model = keras.models.load_model('{name}', compile=False); {SAVED}"
        return f"got an HDF5 model, {EXPECTED_KERAS}: {lines}"
    if head.startswith(HDF5):
        lines = f"model.load_weights('{name}'); {SAVED}"
        return f"got weights without a model, {EXPECTED_KERAS}: make the model as when they were saved; {lines}"
    if head.lstrip().startswith(b"{"):
        read = f"pathlib.Path('{name}').read_text()"
        lines = f"import keras, pathlib; model = keras.models.model_from_json({read}); {SAVED}"
        return f"got a model's JSON without weights, {EXPECTED_KERAS}: {lines}"
    return saved_model() if name.endswith(".pb") else None


def of_model_members(members: Iterable[str]) -> str | None:
    """Return what a zip without a model's configuration seems to be; None where there is no telling."""
    names = list(members)
    if any(name.endswith("saved_model.pb") for name in names):
        return saved_model()
    if any(name.endswith("data.pkl") for name in names):
        return f"got a PyTorch file, {EXPECTED_KERAS}: the model must be one of Keras; model.save('m.keras')"
    return None
