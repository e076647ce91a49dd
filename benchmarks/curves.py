"""Accuracy over time of a finished run: every average that its store holds, evaluated afterwards; used by measure."""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from services import ROOT, Bucket


def points(bucket: Bucket, run: str, began: float, data: Path) -> list[dict[str, float]]:
    """Return seconds since `began` and test accuracy of each round's end."""
    prefix = f"runs/{run}/rounds/"
    with tempfile.TemporaryDirectory() as folder:
        bucket.client.download_file(bucket.bucket, f"runs/{run}/initial.keras", f"{folder}/initial.keras")
        times = {}
        for page in bucket.client.get_paginator("list_objects_v2").paginate(Bucket=bucket.bucket, Prefix=prefix):
            for entry in page.get("Contents", []):
                number, _, name = entry["Key"].removeprefix(prefix).partition("/")
                if name == "model.safetensors":
                    times[number] = entry["LastModified"].timestamp()
                    bucket.client.download_file(bucket.bucket, entry["Key"], f"{folder}/{number}.safetensors")
        accuracies = evaluate(Path(folder), data)
    return [{"at": round(at - began, 3), "accuracy": accuracies[number]} for number, at in sorted(times.items())]


def evaluate(folder: Path, data: Path) -> dict[str, float]:
    """Return the accuracy of every state in a folder; in a process of its own, whose threads and memory end with it."""
    words = [sys.executable, "-m", "benchmarks.curves", str(folder), str(data)]
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    ran = subprocess.run(words, cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
    found: dict[str, float] = json.loads(ran.stdout.splitlines()[-1])
    return found


def main(folder: Path, data: Path) -> dict[str, Any]:
    """Evaluate the states of a folder on a data set's test images."""
    import numpy as np

    from common.storage import state
    from common.training.model import Learner

    learner = Learner(folder / "initial.keras")
    with np.load(data) as arrays:
        x, y = arrays["x_test"], arrays["y_test"]
    found = {}
    for path in sorted(folder.glob("*.safetensors")):
        learner.import_state(state.load(path)[0])
        found[path.stem] = learner.evaluate((x, y), path.stem)["accuracy"]
    return found


if __name__ == "__main__":
    print(json.dumps(main(Path(sys.argv[1]), Path(sys.argv[2]))))
