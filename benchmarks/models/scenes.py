"""Models of images that give more than a class, or take more than an image."""

from typing import Any

import keras
from keras import layers

from benchmarks.models.row import EXAMPLES, Row, chance, classes, compiled, images, normal, sequential, whole
from benchmarks.models.vision import SHAPE, entry
from common.training.model import Data


def unet() -> Any:
    """A mask of the picture, by way of a smaller one."""
    taken, hidden = entry()
    fine = layers.Conv2D(8, 3, padding="same", activation="relu")(hidden)
    coarse = layers.Conv2D(16, 3, padding="same", activation="relu")(layers.MaxPooling2D()(fine))
    back = layers.Conv2DTranspose(8, 2, 2)(coarse)
    joined = layers.Conv2D(8, 3, padding="same", activation="relu")(layers.Concatenate()([fine, back]))
    mask = layers.Conv2D(1, 1, activation="sigmoid")(joined)
    metrics = [keras.metrics.BinaryIoU([0, 1], name="iou"), "binary_accuracy"]
    return compiled(keras.Model(taken, mask), "adam", "binary_crossentropy", metrics)


def masks() -> Data:
    """Return pictures with a mask each."""
    return images()[0], whole(2, 8, 8, 1, seed=3, dtype="uint8")


def super_resolution() -> Any:
    """A picture of twice the size."""
    body = [layers.Conv2D(12, 3, padding="same", activation="relu"), layers.UpSampling2D(interpolation="bilinear")]
    body += [layers.Conv2D(3, 3, padding="same")]
    return compiled(sequential((4, 4, 3), *body), "adam", "mae", ["mse"])


def autoencoder() -> Any:
    """A picture out of eight numbers."""
    body = [layers.Flatten(), layers.Dense(8, "relu"), layers.Dense(64, "sigmoid"), layers.Reshape((8, 8, 1))]
    return compiled(sequential((8, 8, 1), *body), "adam", "mse", ["mae"])


def copied() -> Data:
    """Return pictures that are their own labels."""
    pictures = chance(4).random((EXAMPLES, 8, 8, 1)).astype("float32")
    return pictures, pictures


def variational() -> Any:
    """A code with noise, held near 0 by its activity: what a variational autoencoder's second loss does."""
    code = layers.Dense(6, activity_regularizer=keras.regularizers.L2(0.01))
    body = [layers.Flatten(), code, layers.GaussianNoise(0.3), layers.Dense(64, "sigmoid"), layers.Reshape((8, 8, 1))]
    return compiled(sequential((8, 8, 1), *body), "adam", "binary_crossentropy")


def siamese() -> Any:
    """One tower for two pictures, and how far they are apart."""
    body = [layers.Rescaling(1 / 255), layers.Conv2D(8, 3, activation="relu"), layers.Flatten(), layers.Dense(8)]
    tower = sequential(SHAPE, *body)
    left, right = keras.Input(SHAPE, name="left"), keras.Input(SHAPE, name="right")
    apart = layers.Subtract()([tower(left), tower(right)])
    same = layers.Dense(1, "sigmoid")(layers.Multiply()([apart, apart]))
    return compiled(keras.Model([left, right], same), "adam", "binary_crossentropy", ["accuracy"])


def pairs() -> Data:
    """Return two pictures an example, and whether they are of one kind."""
    sides = {name: whole(256, *SHAPE, seed=seed, dtype="uint8") for seed, name in enumerate(("left", "right"))}
    return sides, classes(2)


def detector() -> Any:
    """A class and a box of every picture."""
    taken, hidden = entry()
    hidden = layers.Conv2D(8, 3, activation="leaky_relu")(hidden)
    flat = layers.Flatten()(layers.MaxPooling2D()(hidden))
    outputs = {"kind": layers.Dense(4, "softmax", name="kind")(flat), "box": layers.Dense(4, name="box")(flat)}
    losses = {"kind": "sparse_categorical_crossentropy", "box": keras.losses.Huber(0.5)}
    measures = {"kind": ["accuracy"], "box": ["mae"]}
    return compiled(keras.Model(taken, outputs), "adam", losses, measures, loss_weights={"kind": 1.0, "box": 2.0})


def boxes() -> Data:
    """Return pictures with a class and a box each."""
    return images()[0], {"kind": classes(), "box": normal(4)}


def small() -> Data:
    """Return pictures of numbers, and others of twice the size."""
    return normal(4, 4, 3), normal(8, 8, 3, seed=2)


ROWS = (
    Row("unet", "a mask an image", "Conv2DTranspose, Concatenate, BinaryIoU", unet, masks),
    Row("super-resolution", "an image an image", "UpSampling2D, mae", super_resolution, small),
    Row("autoencoder", "an image an image", "Reshape; labels are inputs", autoencoder, copied),
    Row(
        "variational",
        "an image an image",
        "activity_regularizer, GaussianNoise",
        variational,
        copied,
        "a loss by add_loss needs a layer class of your own, which is refused",
        random=True,
    ),
    Row("siamese", "pairs of images", "a model called twice, Subtract", siamese, pairs),
    Row("detector", "images, two outputs", "outputs, losses and metrics by name, loss_weights, Huber", detector, boxes),
)
