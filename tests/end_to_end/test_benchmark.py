"""The benchmark from end to end, on a few examples: it measures, reports, resumes; only generous ratios are held."""

import json
import os
import subprocess

import numpy as np
import pytest
from benchmarks import sources
from benchmarks.simulation import Settings, simulate

from services import ROOT

CASES = {"single, 1 epoch", "ours, 1 epoch", "bare, no quota"}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Give a file like MNIST's: each class has a patch of its own, noisy."""
    random = np.random.default_rng(11)

    def images(count):
        labels = (np.arange(count) % 10).astype(np.uint8)
        found = random.normal(60, 40, (count, 28, 28))
        for place, label in enumerate(labels):
            row, column = divmod(int(label), 4)
            found[place, 8 * row : 8 * row + 8, 7 * column : 7 * column + 7] += 90
        return np.clip(found, 0, 255).astype(np.uint8), labels

    (x_train, y_train), (x_test, y_test) = images(2000), images(500)
    path = tmp_path_factory.mktemp("data") / "mnist.npz"
    np.savez_compressed(path, x_train=x_train, y_train=y_train, x_test=x_test, y_test=y_test)
    return path


def bench(results, data):
    words = [str(ROOT / "scripts" / "bench"), "--quick", "--results", str(results)]
    environment = {**os.environ, "MNIST_NPZ": str(data)}
    return subprocess.run(words, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.slow
def test_a_quick_benchmark(data, tmp_path, monkeypatch):
    ran = bench(tmp_path, data)
    assert ran.returncode == 0, ran.stderr
    lines = [json.loads(line) for line in (tmp_path / "measurements.jsonl").read_text().splitlines()]
    assert {line["case"] for line in lines} == CASES
    assert [line["failures"] for line in lines] == [0, 0, 0]
    rows = json.loads((tmp_path / "results.json").read_text())["rows"]
    assert [row["title"] for row in rows if not row["met"]] == []
    assert {path.suffix for path in tmp_path.iterdir()} == {".jsonl", ".json", ".md", ".svg"}

    monkeypatch.setenv("MNIST_NPZ", str(data))
    simulated = simulate(Settings(2, 1, 2, 45, 1e-3), 1, "mnist", sources.load("mnist"), lambda done: None)
    ours = next(line for line in lines if line["case"] == "ours, 1 epoch")
    assert ours["accuracy"] == pytest.approx(simulated["points"][-1]["accuracy"], abs=1e-6)

    before = (tmp_path / "measurements.jsonl").read_bytes()
    assert bench(tmp_path, data).returncode == 0
    assert (tmp_path / "measurements.jsonl").read_bytes() == before
