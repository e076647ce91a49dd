"""A model state as one safetensors file: weights, optimizer slots, counters and how far its lane has come.

Used by the trainer, which saves and maps whole states, and by the reducer, which reads headers and parts of tensors by
range and writes a new state piece by piece. The format: an eight-byte length, a JSON header, and the tensors' bytes
one after the other.
"""

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open

from common.errors import InspectionError, ModelError, StoreError

Tensors = dict[str, NDArray[Any]]

# What a tensor's rule says to the reducer; the moments rules are followed by the partner's name.
MEAN, KEEP = "mean", "keep"
MOMENTS_MEAN, MOMENTS_VARIANCE = "moments-mean:", "moments-variance:"

HEADER_LIMIT = 4 << 20  # bytes, some 15 000 tensors; a reader holds up to 30 times as much while it parses them
RANK_LIMIT = 32  # axes, as numpy had it for long
# A trained weight stays below this: squares, and sums of squares, are still numbers in float32.
WEIGHT_LIMIT, SQUARE_LIMIT = 2.0**62, 2.0**126

_CODES = {
    "float64": "F64", "float32": "F32", "float16": "F16",
    "int64": "I64", "int32": "I32", "int16": "I16", "int8": "I8",
    "uint64": "U64", "uint32": "U32", "uint16": "U16", "uint8": "U8", "bool": "BOOL",
}  # fmt: skip
_DTYPES = {code: np.dtype(name).newbyteorder("<") for name, code in _CODES.items()}


class Entry(NamedTuple):
    """One tensor of a header; begin and end are offsets into the file, ready for a range read."""

    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    begin: int
    end: int


@dataclass
class Progress:
    """A state's metadata: where it stands, how its tensors are averaged, what its lane has measured in the round."""

    rules: dict[str, str]
    round: int
    lane: int
    step: int
    examples: int = 0
    sums: dict[str, list[float]] = field(default_factory=dict)  # name -> [total, count]
    seconds: float = 0.0
    activation_seconds: float = 0.0
    memory: int = 0
    validation: dict[str, float] | None = None
    last_lines: str = ""
    processors: list[str] = field(default_factory=list)  # kinds that the lane has trained on in the round
    decays: dict[str, float] = field(default_factory=dict)  # of tensors that move by a decay an update
    updates: dict[str, int] = field(default_factory=dict)  # of these tensors, in the round so far
    start_sums: dict[str, list[float]] | None = None  # what the round's start gave on the lane's share of held-out data

    def pack(self) -> dict[str, str]:
        """As strings, which is all that safetensors metadata may hold."""
        texts = {
            name: value if isinstance(value, str) else json.dumps(value, sort_keys=True, allow_nan=False)
            for name, value in vars(self).items()
        }
        for name in ("validation", "start_sums"):
            if getattr(self, name) is None:
                del texts[name]
        return texts

    @classmethod
    def unpack(cls, metadata: Mapping[str, str]) -> "Progress":
        """Inverse of pack; fields this class does not know are left out."""
        known: dict[str, Any] = {name: metadata[name] for name in cls.__dataclass_fields__ if name in metadata}
        return cls(**{name: text if name == "last_lines" else json.loads(text) for name, text in known.items()})


def header_size(data: bytes) -> int:
    """Bytes from the file's start to its first tensor, read from the first eight."""
    if len(data) < 8:
        raise InspectionError(f"state: got {len(data)} bytes, expected at least the 8 of a safetensors length")
    size = 8 + int.from_bytes(data[:8], "little")
    if size > HEADER_LIMIT:
        raise InspectionError(f"state: got a header of {size} bytes, expected at most {HEADER_LIMIT}")
    return size


def read_header(data: bytes) -> tuple[dict[str, Entry], dict[str, str]]:
    """Tensors (in the order they lie in the file) and metadata, from a file's first `header_size` bytes or more."""
    size = header_size(data)
    if len(data) < size:
        raise InspectionError(f"state: got the first {len(data)} bytes, expected the {size} of its header")
    try:
        header = json.loads(data[8:size])
    except (ValueError, RecursionError) as error:
        raise InspectionError(f"state: got a header that is no JSON ({type(error).__name__})") from None
    metadata = header.pop("__metadata__", {}) if isinstance(header, dict) else None
    if not isinstance(metadata, dict) or not all(isinstance(text, str) for text in metadata.values()):
        raise InspectionError("state: got a header without tensors or with other metadata than texts")
    entries = [(name, _entry(name, described, size)) for name, described in header.items()]
    tensors = dict(sorted(entries, key=lambda item: (item[1].begin, item[1].end)))
    end = size
    for name, entry in tensors.items():
        if entry.begin != end:
            raise InspectionError(f"state: {name[:80]} begins at byte {entry.begin}, expected {end}, where others end")
        end = entry.end
    return tensors, metadata


def _entry(name: str, described: Any, size: int) -> Entry:
    match described:
        case {"dtype": str(code), "shape": list(shape), "data_offsets": [begin, end]} if code in _DTYPES:
            natural = all(type(n) is int and 0 <= n < 1 << 63 for n in (*shape[:RANK_LIMIT], begin, end))
            fits = natural and len(shape) <= RANK_LIMIT
            if fits and end - begin == math.prod(shape) * _DTYPES[code].itemsize:
                return Entry(_DTYPES[code], tuple(shape), size + begin, size + end)
    raise InspectionError(f"state: {name[:80]}: got no dtype, shape and offsets that fit each other")


def rule(name: str, floating: bool, shape: tuple[int, ...]) -> str:
    """What happens to a tensor of no moments: floats are averaged, but for an optimizer's scalars.

    These (iterations, rate, loss scale, Nadam's product) belong together: all are from one lane.
    """
    counter = name.startswith("optimizer.") and not shape
    return MEAN if floating and not counter else KEEP


def limit(name: str, rule_: str, dtype: np.dtype[Any]) -> float:
    """How far from 0 the numbers of a floating tensor may be; what lies beyond cannot be trained on, or averaged."""
    largest = float(np.finfo(dtype).max)
    if rule_.startswith(MOMENTS_VARIANCE):
        return min(SQUARE_LIMIT, largest)
    return min(WEIGHT_LIMIT, largest) if name.startswith("trainable.") or rule_.startswith(MOMENTS_MEAN) else largest


def within(values: NDArray[Any], most: float) -> bool:
    """Return whether all numbers are within -most..most; NaN is not."""
    return not values.size or bool(values.min() >= -most and values.max() <= most)


def write_header(tensors: Mapping[str, Entry | NDArray[Any]], metadata: Mapping[str, str]) -> bytes:
    """The header for tensors of these dtypes and shapes; `read_header` of it says where each tensor's bytes go.

    The layout depends on names, dtypes and shapes alone: wide dtypes first (so that all are aligned), then by name.
    """
    header: dict[str, Any] = {"__metadata__": dict(sorted(metadata.items()))}
    offset = 0
    for name, tensor in sorted(tensors.items(), key=lambda item: (-item[1].dtype.itemsize, item[0])):
        size = int(np.prod(tensor.shape, dtype=np.int64)) * tensor.dtype.itemsize
        header[name] = {"dtype": _code(name, tensor.dtype), "shape": list(tensor.shape)}
        header[name]["data_offsets"] = [offset, offset + size]
        offset += size
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text


def save(path: Path, tensors: Tensors, metadata: Mapping[str, str]) -> None:
    """Write a whole state to a new file, tensor by tensor: the library's own save_file copies them all."""
    header = write_header(tensors, metadata)
    path.unlink(missing_ok=True)  # what `load` mapped stays as it is
    with path.open("wb") as file:
        file.write(header)
        for name in read_header(header)[0]:
            file.write(contents(tensors[name]))


def load(path: Path) -> tuple[Tensors, dict[str, str]]:
    """Map a whole state from a file, which may be deleted then."""
    try:
        with safe_open(path, "numpy"):  # the library looks whether header and file are whole
            pass
    except SafetensorError as error:
        raise StoreError(f"state {path.name}: got no whole safetensors file ({error})") from error
    data = np.memmap(path, np.uint8, "r")
    tensors, metadata = read_header(data[: header_size(data[:8].tobytes())].tobytes())
    return {name: data[e.begin : e.end].view(e.dtype).reshape(e.shape) for name, e in tensors.items()}, metadata


def contents(tensor: NDArray[Any]) -> memoryview:
    """Return a tensor's bytes in C order; a view where it lies so."""
    return np.ascontiguousarray(tensor).reshape(-1).view(np.uint8).data


def digest(tensors: Mapping[str, NDArray[Any]]) -> str:
    """sha256 over the sorted names, dtypes, shapes and bytes: equal digests mean the same state."""
    total = hashlib.sha256()
    for name, tensor in sorted(tensors.items()):
        total.update(json.dumps([name, _code(name, tensor.dtype), list(tensor.shape)]).encode())
        total.update(contents(tensor))
    return total.hexdigest()


def _code(name: str, dtype: np.dtype[Any]) -> str:
    if dtype.name not in _CODES:
        raise ModelError(f"tensor {name}: got dtype {dtype.name}, expected one of {', '.join(_CODES)}")
    return _CODES[dtype.name]
