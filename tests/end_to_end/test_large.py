"""A dataset of several slices, through wsk: waves of splitters, then a training as any other."""

import io

import keras
import numpy as np
from keras import layers

from common.plan import plan as plans
from common.storage import keys

SIDE = 512


def test_a_dataset_of_two_slices(deployed, tmp_path):
    random = np.random.default_rng(4)
    y = np.arange(2400) % 3
    x = random.integers(0, 60, (len(y), SIDE, SIDE // 2), np.uint8)
    x += 60 * y[:, None, None].astype(np.uint8)
    file = io.BytesIO()
    np.savez(file, x=x, y=y)
    deployed.put("data/large.npz", file.getvalue())
    body = [layers.Rescaling(1 / 255), layers.Reshape((SIDE, SIDE // 2, 1)), layers.GlobalAveragePooling2D()]
    model = keras.Sequential([keras.Input(x.shape[1:]), *body, layers.Dense(3)])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(0.3), loss, metrics=["accuracy"])
    model.save(tmp_path / "large.keras")
    deployed.put("data/large.keras", (tmp_path / "large.keras").read_bytes())
    given = {"dataset": "data/large.npz", "model": "data/large.keras", "workers": 2, "epochs": 1, "rounds": 1}
    found = deployed.train("large", batch_size=16, **given)
    assert found.get("accuracy", 0) > 0.9, found
    run = deployed.run("large")
    (wave,) = [run.find_json(key) for key in run.sizes(keys.SPLIT_WAVES)]
    assert [number for share in wave["slices"] for number in share] == [0, 1]
    data = plans.read(run).data(run.objects)
    assert not data.sizes(keys.PIECES) and not run.objects.unfinished(data.prefix)
    shards = data.sizes(keys.SHARDS)
    assert sum(shards[keys.shard_key(lane, "x")] for lane in range(2)) == 2 * 128 + 2160 * SIDE * SIDE // 2
