"""The state file against the safetensors library."""

import hashlib
from pathlib import Path

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

from common.errors import InspectionError, ModelError, StoreError
from common.storage import state
from common.storage.state import Progress

RANDOM = np.random.default_rng(0)
TENSORS: state.Tensors = {
    "weight.0000.a": RANDOM.integers(0, 255, (3,), dtype=np.uint8),
    "trainable.0001.dense/kernel": RANDOM.normal(size=(3, 5)).astype(np.float32),
    "trainable.0000.dense/ä": RANDOM.normal(size=(7,)).astype(np.float16),
    "optimizer.0000.iteration": np.array(7, np.int64),
    "optimizer.0001.m": RANDOM.normal(size=(2, 1, 2)),
    "seed.0000.state": np.array([1, 2], np.uint32),
    "weight.0001.flag": np.array([True, False]),
    "weight.0002.empty": np.zeros((0, 4), np.float32),
}
METADATA = {"rules": "{}", "last_lines": "naïve \n text", "a": "b"}


def assert_equal(got: state.Tensors, expected: state.Tensors) -> None:
    assert got.keys() == expected.keys()
    for name, tensor in expected.items():
        assert (got[name].dtype, got[name].shape) == (tensor.dtype, tensor.shape)
        np.testing.assert_array_equal(got[name], tensor)


def test_the_library_reads_what_we_write(tmp_path: Path) -> None:
    state.save(tmp_path / "s", TENSORS, METADATA)
    assert_equal(load_file(tmp_path / "s"), TENSORS)
    with safe_open(tmp_path / "s", "np") as file:
        assert file.metadata() == METADATA


def test_we_read_what_the_library_writes(tmp_path: Path) -> None:
    save_file(TENSORS, tmp_path / "s", METADATA)
    tensors, metadata = state.load(tmp_path / "s")
    assert_equal(tensors, TENSORS)
    assert metadata == METADATA


def test_entries_are_ranges_of_the_file(tmp_path: Path) -> None:
    save_file(TENSORS, tmp_path / "s", METADATA)
    data = (tmp_path / "s").read_bytes()
    entries, _ = state.read_header(data[: state.header_size(data[:8])])
    read = {n: np.frombuffer(data[e.begin : e.end], e.dtype).reshape(e.shape) for n, e in entries.items()}
    assert_equal(read, TENSORS)


def test_a_state_written_in_pieces_is_read_whole(tmp_path: Path) -> None:
    state.save(tmp_path / "whole", TENSORS, METADATA)
    described, _ = state.read_header((tmp_path / "whole").read_bytes())
    header = state.write_header(dict(reversed(described.items())), dict(reversed(METADATA.items())))
    with (tmp_path / "pieces").open("wb") as file:
        file.write(header)
        for name, (_, _, begin, end) in state.read_header(header)[0].items():
            data = TENSORS[name].tobytes()
            assert (file.tell(), len(data)) == (begin, end - begin)
            file.write(data[:3])
            file.write(data[3:])
    tensors, metadata = state.load(tmp_path / "pieces")
    assert (state.digest(tensors), metadata) == (state.digest(TENSORS), METADATA)


def test_a_mapped_state_outlives_its_file(tmp_path: Path) -> None:
    state.save(tmp_path / "s", TENSORS, METADATA)
    tensors, _ = state.load(tmp_path / "s")
    state.save(tmp_path / "s", {"a": np.zeros(3)}, {})
    (tmp_path / "s").unlink()
    assert_equal(tensors, TENSORS)


def test_tensors_are_aligned(tmp_path: Path) -> None:
    entries, _ = state.read_header(state.write_header(TENSORS, METADATA))
    assert all(entry.begin % entry.dtype.itemsize == 0 for entry in entries.values())


def test_damaged_files_are_refused(tmp_path: Path) -> None:
    state.save(tmp_path / "s", TENSORS, METADATA)
    data = (tmp_path / "s").read_bytes()
    size = state.header_size(data)
    with pytest.raises(InspectionError, match="got 3 bytes, expected at least the 8"):
        state.read_header(data[:3])
    with pytest.raises(InspectionError, match=f"got the first 50 bytes, expected the {size} of its header"):
        state.read_header(data[:50])
    (tmp_path / "s").write_bytes(data[:-1])
    with pytest.raises(StoreError, match="state s: got no whole safetensors file"):
        state.load(tmp_path / "s")


def test_a_dtype_without_a_code_is_refused() -> None:
    with pytest.raises(ModelError, match="tensor c: got dtype complex64, expected one of float64"):
        state.write_header({"c": np.zeros(2, np.complex64)}, {})


def test_digest_is_its_definition_and_sees_every_part() -> None:
    value = np.arange(6, dtype=np.float32).reshape(2, 3)
    expected = hashlib.sha256(b'["a", "F32", [2, 3]]' + value.tobytes() + b'["b", "I64", []]' + np.int64(1).tobytes())
    assert state.digest({"b": np.array(1), "a": value}) == expected.hexdigest()
    variants: list[state.Tensors] = [{"a": value}, {"a": value.T}, {"a": value.reshape(3, 2)}, {"b": value}]
    variants += [{"a": value.astype(np.float64)}, {"a": value + 1}]
    assert len({state.digest(variant) for variant in variants}) == 6
    assert state.digest({"a": np.asfortranarray(value)}) == state.digest({"a": value})


def test_progress_round_trip() -> None:
    full = Progress(
        {"t": "mean"}, 3, 1, 40, 640, {"loss": [1.5, 640.0]}, 2.5, 3.5, 10**9, {"loss": 0.25}, "one\ntwo", ["p"],
        {"t": 0.99}, {"t": 40},
    )  # fmt: skip
    packed = full.pack()
    assert packed == {
        "rules": '{"t": "mean"}', "round": "3", "lane": "1", "step": "40", "examples": "640",
        "sums": '{"loss": [1.5, 640.0]}', "seconds": "2.5", "activation_seconds": "3.5", "memory": "1000000000",
        "validation": '{"loss": 0.25}', "last_lines": "one\ntwo", "processors": '["p"]',
        "decays": '{"t": 0.99}', "updates": '{"t": 40}',
    }  # fmt: skip
    assert Progress.unpack(packed | {"later": "1"}) == full
    bare = Progress({}, 0, 0, 0)
    assert "validation" not in bare.pack()
    assert Progress.unpack(bare.pack()) == bare
