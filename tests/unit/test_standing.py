"""scripts/standing.py: what the demo shows of a run is what its store holds."""

import json
from dataclasses import replace

import numpy as np
import pytest
from safetensors.numpy import save

import standing
from standing import Standing

PLAN = {"rounds": 3, "workers": 2}
LANES = [
    {"sums": {"loss": [9.0, 100], "accuracy": [30.0, 100]}},
    {"sums": {"loss": [2.0, 300], "accuracy": [270.0, 300]}},
]


@pytest.fixture
def store(s3):
    """Give a bucket of this file's own: its runs are stubs that no action could read."""
    own = replace(s3, bucket="standing")
    own.create()
    return own


@pytest.fixture
def put(store):
    def put(key, body=b"x"):
        store.client.put_object(Bucket=store.bucket, Key=f"runs/standing/{key}", Body=body)

    return put


def test_a_run_is_followed_from_its_plan_to_its_report(store, put):
    assert standing.read(store, "standing") == Standing("planning")
    put("plan.json", json.dumps(PLAN).encode())
    assert standing.read(store, "standing") == Standing("splitting", rounds=3, workers=2)
    put("split.json")
    put("waves/000000.json")
    put("rounds/00000/lane-00/step-00000004.safetensors")
    put("rounds/00000/lane-00/step-00000008.safetensors")
    assert standing.read(store, "standing") == Standing("training", waves=1, lanes=1, rounds=3, workers=2)
    put("rounds/00000/lane-01/step-00000008.safetensors")
    put("waves/000001.json")
    state = save({"trainable.0000.kernel": np.ones(5, np.float32)}, {"round": "1", "lanes": json.dumps(LANES)})
    put("rounds/00001/model.safetensors", state)
    right = (30 + 270) / (100 + 300)
    assert standing.read(store, "standing") == Standing("training", 2, 1, 3, 0, 2, accuracy=right)
    put("rounds/00003/model.safetensors", state)
    assert standing.read(store, "standing") == Standing("evaluating", 2, 3, 3, 0, 2, accuracy=right)
    put("report.json")
    assert standing.read(store, "standing") == Standing("done", 2, 3, 3, 0, 2, accuracy=right)


def test_a_model_without_the_metric_has_no_accuracy(store, put):
    lanes = [{"sums": {"loss": [1.0, 10]}}]
    put("rounds/00009/model.safetensors", save({"a": np.zeros(1)}, {"lanes": json.dumps(lanes)}))
    assert standing.training_accuracy(store, "runs/standing/rounds/00009/model.safetensors") is None
