"""The memory sampler against memory that the test itself takes."""

import time
from pathlib import Path

import numpy as np

from common.training.memory import PeakMemory, private_bytes


def test_the_peak_is_seen_after_the_memory_is_given_back() -> None:
    before = private_bytes()
    with PeakMemory() as peak:
        block = np.ones(100 << 20, np.uint8)
        end = time.monotonic() + 20
        while peak.bytes - before < 90 << 20:
            assert time.monotonic() < end, "the sampler did not look"
            time.sleep(0.01)
        del block
    assert 90 << 20 < peak.bytes - before < 140 << 20
    assert private_bytes() - before < 20 << 20


def test_a_mapped_file_is_not_counted(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.ones(100 << 20, np.uint8))
    before = private_bytes()
    with PeakMemory() as peak:
        assert int(np.load(tmp_path / "x.npy", mmap_mode="r").sum()) == 100 << 20
    assert peak.bytes - before < 20 << 20
