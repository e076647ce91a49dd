"""What a user may hold in place of a dataset or a `.keras` file, and the lines of Python that make one of it.

Used by the planner. Each answer ends in lines that run as they stand; tests run them.
"""

import re
from collections.abc import Iterable
from pathlib import PurePosixPath

HEAD_BYTES = 1 << 12  # of a file: enough to know it by
EXCEL_MEMBER = "[Content_Types].xml"  # that every Office file holds, wherever in it
ZIP, HDF5, NPY = b"PK", b"\x89HDF\r\n\x1a\n", b"\x93NUMPY"
PACKED = {b"\x1f\x8b": "gzip", b"\x28\xb5\x2f\xfd": "zstd"}
PICKLE = (b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")
IMAGE_MAGIC = (b"\x89PNG", b"\xff\xd8\xff", b"GIF8", b"BM")
RECORD_HEAD = 12  # bytes of TFRecord's length and checksum before the record
SAVED = "model.compile('adam', 'mse'); model.save('m.keras')"  # by the user's own optimizer and loss
EXPECTED = "expected .npz, .npy, CSV, JSON lines, Parquet, Arrow or images"
EXPECTED_KERAS = "expected a compiled .keras file"


def packing(head: bytes) -> str | None:
    """Return how a file that begins so is packed, None where it is not."""
    return next((name for magic, name in PACKED.items() if head.startswith(magic)), None)


def file_name(key: str) -> str:
    """Return an object's name as a line of Python may quote it."""
    return re.sub(r"[^\w.-]", "_", PurePosixPath(key).name, flags=re.ASCII)[-40:] or "data"


def of_dataset(head: bytes, key: str) -> str | None:
    """Return what a dataset that no reader knows seems to be, and what to do; None where there is no telling."""
    name = file_name(key)
    if not head:
        return f"got an empty object, {EXPECTED}"
    if head.startswith(HDF5):
        lines = f"import h5py, numpy; f = h5py.File('{name}'); numpy.savez('d.npz', x=f['x'], y=f['y'])"
        return f"got an HDF5 file, {EXPECTED}: {lines}"
    if is_records(head):
        return f"got a TFRecord file, {EXPECTED}: {record_lines(name)}"
    if head.startswith(PICKLE):
        read = f"pickle.loads(pathlib.Path('{name}').read_bytes())"
        lines = f"import numpy, pathlib, pickle; x, y = {read}; numpy.savez('d.npz', x=x, y=y)"
        return f"got a pickle, which is never loaded here, {EXPECTED}: {lines}"
    if any(head.startswith(magic) for magic in IMAGE_MAGIC):
        return f"got one image, expected a zip of a folder of images a class: {image_lines('folder')}"
    if head.lstrip().startswith((b"{", b"[")):
        lines = f"import pandas; pandas.read_json('{name}').to_json('d.jsonl', orient='records', lines=True)"
        return f"got JSON that is not an object a line, {EXPECTED}: {lines}"
    return None


def is_records(head: bytes) -> bool:
    """Return whether a file begins as TFRecord does: a length, its checksum, and a record of tf.train.Example."""
    return len(head) > RECORD_HEAD and 0 < int.from_bytes(head[:8], "little") < 1 << 32 and head[RECORD_HEAD] == 0x0A


def record_lines(name: str) -> str:
    """Return lines that make an .npz of a TFRecord file of examples with `x` and `y` of numbers."""
    return (
        f"import numpy, tensorflow as tf; r = [tf.train.Example.FromString(e.numpy()).features.feature "
        f"for e in tf.data.TFRecordDataset('{name}')]; f = lambda k: numpy.array([list(e[k].float_list.value "
        "or e[k].int64_list.value) for e in r]); numpy.savez('d.npz', x=f('x'), y=f('y'))"
    )


def excel(key: str) -> str:
    """Return what to do with an Excel file."""
    lines = f"import pandas; pandas.read_excel('{file_name(key)}').to_csv('d.csv', index=False)"
    return f"got an Excel file, {EXPECTED}: {lines}"


def image_lines(folder: str) -> str:
    """Return lines that make a zip of a folder with a folder of images a class."""
    return f"import shutil; shutil.make_archive('d', 'zip', '{folder}')"


def of_folder(parameter: str, keys: list[str]) -> str:
    """Return what to do with a folder, `keys` some of what lies in it, given as a file of `dataset` or `model`."""
    if parameter == "model":
        saved = any(key.endswith("saved_model.pb") for key in keys)
        return saved_model() if saved else f"got a folder, {EXPECTED_KERAS}: model.save('m.keras')"
    return "got a folder, expected one object, or the folder's name with / at its end for all objects in it"


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
