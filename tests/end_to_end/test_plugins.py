"""An operator's own layer, loss and metric, through wskdeploy and wsk."""

import io
import shutil
from functools import partial
from pathlib import Path

import keras
import numpy as np
import pytest
from keras import layers
from tests import own_parts

import deployment
import plugins
from common.storage import keys
from local_platform import Platform

from .conftest import Deployment

SOURCE = Path(own_parts.__file__)


@pytest.fixture
def extended(tmp_path, monkeypatch):
    """Give a deployment with a plugin."""
    shutil.copy(SOURCE, tmp_path / SOURCE.name)
    monkeypatch.setattr(deployment.plugins, "collect", partial(plugins.collect, folder=tmp_path))
    platform = Platform(tmp_path / "platform")
    platform.start()
    environment = {**platform.environment(), "DL_PLUGINS": "own_parts"}
    monkeypatch.setattr(platform, "environment", lambda: environment)
    try:
        yield Deployment(platform, kinds=True)
    finally:
        platform.stop()


def test_a_model_of_an_operators_own_parts(extended, tmp_path):
    random = np.random.default_rng(8)
    x = random.normal(size=(1200, 4)).astype(np.float32)
    y = np.stack([x[:, 0] - x[:, 1], x[:, 2]], axis=1)
    file = io.BytesIO()
    np.savez(file, x_train=x[:900], y_train=y[:900], x_test=x[900:], y_test=y[900:])
    extended.put("data/own.npz", file.getvalue())
    network = keras.Sequential(
        [keras.Input((4,)), own_parts.Scaled(), layers.Dense(8, own_parts.halved), layers.Dense(2)]
    )
    network.compile(keras.optimizers.Adam(0.03), own_parts.Quartic(), metrics=["mae", own_parts.Worst()])
    network.save(tmp_path / "own.keras")
    extended.put("data/own.keras", (tmp_path / "own.keras").read_bytes())
    given = {"dataset": "data/own.npz", "model": "data/own.keras", "workers": 2, "epochs": 6, "rounds": 3}
    found = extended.train("own", batch_size=32, **given)
    assert "error" not in found and found["metrics"]["mae"] < 0.3, found
    extended.objects.download(extended.run("own").at(keys.FINAL), tmp_path / "final.keras")
    expected = keras.models.load_model(tmp_path / "final.keras").evaluate(x[900:], y[900:], verbose=0, return_dict=True)
    assert {"loss": found["loss"], **found["metrics"]} == pytest.approx(expected, rel=1e-5)
