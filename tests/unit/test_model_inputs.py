"""The learner on several inputs and on text, against plain Keras on the same batches."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from common.training.model import Learner

RANDOM = np.random.default_rng(8)
WORDS = np.array(["", "good", "bad film", "good bad good", "Größe"])
EXAMPLES = 90
TEXT = RANDOM.choice(WORDS, (EXAMPLES, 2))
ARRAYS = {
    "text": np.char.encode(TEXT, "utf-8"),
    "image": RANDOM.integers(0, 256, (EXAMPLES, 6, 6), np.uint8),
    "numbers": RANDOM.normal(size=(EXAMPLES, 3)).astype(np.float32),
}
Y = ARRAYS["image"][:, 0, 0] % 3


def entries() -> dict[str, Any]:
    """Return an input for each of the arrays."""
    return {
        "numbers": keras.Input((3,), name="numbers"),
        "text": keras.Input((2,), name="text", dtype="string"),
        "image": keras.Input((6, 6), name="image", dtype="uint8"),
    }


def answer(held: dict[str, Any]) -> Any:
    """Return the output of a network that reads all of them."""
    looked = layers.StringLookup(vocabulary=["good", "bad film"], output_mode="multi_hot")(held["text"])
    bright = layers.Flatten()(layers.Rescaling(1 / 255)(held["image"]))
    return layers.Dense(3)(layers.Dropout(0.0)(layers.Concatenate()([looked, bright, held["numbers"]])))


def listed() -> Any:
    held = entries()
    return keras.Model(list(held.values()), answer(held))


def by_name() -> Any:
    held = entries()
    return keras.Model(held, answer(held))


def by_other_names() -> Any:
    held = entries()
    return keras.Model({f"the {name}": one for name, one in held.items()}, answer(held))


def compiled(path: Path, model: Any) -> Path:
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(0.01), loss, metrics=["accuracy"])
    model.optimizer.build(model.trainable_variables)
    model.save(path)
    return path


def assert_plain(path: Path, data: Any, fed: Any) -> None:
    """Compare training and evaluation with Keras' own fit and evaluate."""
    learner, plain = Learner(path), keras.models.load_model(path)
    order, bounds = np.arange(EXAMPLES), np.array([0, 40, 80, 90])
    sums = learner.train((data, Y), order, bounds, 0, 3)
    history = plain.fit(fed, Y, batch_size=40, shuffle=False, verbose=0).history
    for got, expected in zip(learner.model.weights, plain.weights, strict=True):
        np.testing.assert_allclose(got.numpy(), expected.numpy(), rtol=0, atol=1e-6)
    for name, (total, count) in sums.items():
        assert total / count == pytest.approx(history[name][0], rel=1e-5), name
    scores = plain.evaluate(fed, Y, verbose=0, return_dict=True)
    assert learner.evaluate((data, Y), "here") == pytest.approx(scores, rel=1e-5)
    learner.train((data, Y), order, bounds, 0, 3, micro=7)
    learner.save(path.with_name("final.keras"))
    again = keras.models.load_model(path.with_name("final.keras")).predict(fed, verbose=0)
    np.testing.assert_allclose(again, learner.model.predict(fed, verbose=0), rtol=0, atol=1e-6)


@pytest.mark.parametrize("build", [listed, by_name])
def test_several_inputs_are_plain_keras(tmp_path: Path, build: Callable[[], Any]) -> None:
    fed = {name: tf.constant(array) for name, array in ARRAYS.items()}
    assert_plain(compiled(tmp_path / "m.keras", build()), ARRAYS, fed)


@pytest.mark.filterwarnings("ignore:When providing `inputs` as a dict")
def test_inputs_by_other_names_than_their_layers(tmp_path: Path) -> None:
    data = {f"the {name}": array for name, array in ARRAYS.items()}
    fed = {name: tf.constant(array) for name, array in data.items()}
    assert_plain(compiled(tmp_path / "m.keras", by_other_names()), data, fed)


def test_text_alone_is_plain_keras(tmp_path: Path) -> None:
    vectors = layers.TextVectorization(max_tokens=20, output_sequence_length=4)
    vectors.adapt(["good bad film", "größe"])
    body = [vectors, layers.Embedding(20, 4, mask_zero=True), layers.LSTM(5), layers.Dense(3)]
    path = compiled(tmp_path / "m.keras", keras.Sequential([keras.Input((1,), dtype="string"), *body]))
    text = ARRAYS["text"][:, :1]
    assert_plain(path, text, tf.constant(text))
