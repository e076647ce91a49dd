"""A model that the usual trainer does not hold, through wsk: trained in a larger one, or refused with the numbers."""

import io

import keras
import numpy as np
import pytest
from keras import layers

from common.plan import plan as plans

MB = 1 << 20


@pytest.fixture(scope="module")
def data(deployed):
    """Put examples of ten classes into the store."""
    random = np.random.default_rng(6)
    y = np.arange(1280) % 10
    x = random.normal(size=(len(y), 784)).astype(np.float32) + (np.arange(784) % 10 == y[:, None])
    file = io.BytesIO()
    np.savez(file, x=x, y=y.astype(np.uint8))
    deployed.put("data/wide.npz", file.getvalue())


def put(deployed, folder, *widths):
    """Put a network of these widths into the store; return how many parameters it has."""
    body = [layers.Dense(width, "relu") for width in widths]
    model = keras.Sequential([keras.Input((784,)), *body, layers.Dense(10, "softmax")])
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.save(folder / "wide.keras")
    deployed.put("data/wide.keras", (folder / "wide.keras").read_bytes())
    return model.count_params()


def test_twelve_million_parameters_with_adam_at_a_stock_512_mb(deployed, data, tmp_path):
    assert put(deployed, tmp_path, 3000, 3200) > 11_900_000
    given = {"dataset": "data/wide.npz", "model": "data/wide.keras", "workers": 2, "epochs": 1, "rounds": 2}
    found = deployed.train("twelve-million", batch_size=64, **given)
    assert found.get("accuracy", 0) > 0.9, found
    trainer = plans.read(deployed.run("twelve-million")).trainer
    assert (trainer.action, trainer.memory, trainer.micro) == ("trainer-512", 512, None)
    assert deployed.attempts("twelve-million") == [(r, lane, 1) for r in range(3) for lane in range(2)]
    assert found["memory"]["measured"] < 512 * MB
    assert found["memory"]["estimated"] == pytest.approx(found["memory"]["measured"], rel=0.1)


def test_twenty_five_million_are_refused_with_the_numbers(deployed, data, tmp_path):
    assert put(deployed, tmp_path, 4600, 4600) > 24_700_000
    found = deployed.train("twenty-five-million", dataset="data/wide.npz", model="data/wide.keras", epochs=1)
    assert found["error"].startswith("model: needs about ")
    assert " MB for 24.8 million parameters with Adam, the largest trainer has 512: SGD would need " in found["error"]
    assert found["error"].endswith(", or DL_TRAINER_MEMORY=768 where the platform allows it")
