"""The warm-up's step on zeros: what no batch could mend is found by it, what plain Keras trains is not refused."""

import hashlib

import keras
import numpy as np
import pytest
from keras import layers

from common.errors import ModelError, kind
from common.storage.objects import Location, Objects
from common.training.model import Learner
from common.training.warm import Learners, Which

SPARSE = "sparse_categorical_crossentropy"


@pytest.fixture
def prepare(s3, tmp_path, request):
    """Give a function that warms up for a network on batches of 16 examples and labels of these shapes."""
    objects, path, learners = Objects(s3.params), tmp_path / "m.keras", Learners()

    def step(network, loss, x, y=()):
        if not path.exists():
            model = keras.Sequential(network)
            model.compile("adam", loss)
            model.save(path)
        at = Location(objects.bucket, f"dry/{request.node.name}")
        objects.client.put_object(Bucket=at.bucket, Key=at.key, Body=path.read_bytes())
        batch = {"x": {"shape": [16, *x], "dtype": "<f4"}, "y": {"shape": [16, *y], "dtype": "<f4" if y else "|u1"}}
        sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
        ends = {"inputs": None, "outputs": None, "learning_rate": None, "optimizer": None, "micro": None}
        get = {"model": objects.presign_get(at)}
        measured = learners.prepare({**ends, "get": get, "model_sha256": sha256, "batch": batch})
        fresh = Learner(path, example=x).export_state()
        left = learners.take("", Which(sha256), True, list(x)).export_state()
        for name, tensor in fresh.items():  # a model that was never built has the same weights everywhere
            np.testing.assert_array_equal(left[name], tensor, err_msg=name)
        return measured

    yield step
    objects.client.close()


@pytest.mark.parametrize(
    ("network", "loss", "x", "y", "cause"),
    [
        ([keras.Input((8,)), layers.Dense(3)], "mse", (8,), (4,), "Incompatible shapes: [1,4] vs. [1,3]"),
        ([keras.Input((8,)), layers.Dense(3)], "binary_crossentropy", (8,), (4,), "must have the same shape"),
        (
            [layers.Conv2D(3, 3), layers.Flatten(), layers.Dense(3)],
            SPARSE,
            (8,),
            (),
            "expected min_ndim=4, found ndim=2",
        ),
    ],
    ids=["labels", "crossentropy", "unbuilt"],
)
@pytest.mark.filterwarnings("ignore:You are saving a model that has not yet been built")
def test_what_no_batch_can_mend_is_one_sentence(prepare, network, loss, x, y, cause):
    with pytest.raises(ModelError) as error:
        prepare(network, loss, x, y)
    text = str(error.value)
    assert kind(error.value) == "ModelError" and text.startswith("model: ") and cause in text
    assert "\n" not in text and "{{" not in text and "\x1b" not in text and len(text) < 500


@pytest.mark.parametrize(
    ("network", "timed"),
    [
        ([layers.Dense(16, "relu"), layers.Dropout(0.1), layers.Dense(3, "softmax")], True),
        ([keras.Input(batch_shape=(32, 8)), layers.Dense(3, "softmax")], True),
        (
            [keras.Input((8,)), layers.Rescaling(1, -9), layers.Embedding(5, 3), layers.Flatten(), layers.Dense(3)],
            False,
        ),
    ],
    ids=["unbuilt", "fixed batch", "only zeros fail"],
)
@pytest.mark.filterwarnings("ignore:You are saving a model that has not yet been built")
def test_what_keras_trains_is_not_refused(prepare, network, timed):
    assert ("step_seconds" in prepare(network, SPARSE, (8,))) == timed


@pytest.mark.filterwarnings("ignore:You are saving a model that has not yet been built")
def test_a_model_that_was_never_built_is_built_again_for_another_shape(prepare):
    network = [layers.Flatten(), layers.Dense(3, "softmax")]
    assert prepare(network, SPARSE, (8,))["trace_seconds"] > 0
    assert prepare(network, SPARSE, (4, 5))["trace_seconds"] > 0
