"""The networks of the measurements, as compiled and untrained .keras files; used by all."""

from pathlib import Path
from typing import Any

import keras
from keras import layers


def mnist() -> list[Any]:
    """Two convolutions and a hidden layer, 225 034 parameters, for 28x28 grey images."""
    return [
        keras.Input((28, 28)),
        layers.Rescaling(1 / 255),
        layers.Reshape((28, 28, 1)),
        layers.Conv2D(32, 3, activation="relu"),
        layers.MaxPooling2D(),
        layers.Conv2D(64, 3, activation="relu"),
        layers.MaxPooling2D(),
        layers.Flatten(),
        layers.Dense(128, activation="relu"),
        layers.Dense(10),
    ]


def cifar10() -> list[Any]:
    """The network of TensorFlow's tutorial "Convolutional Neural Network (CNN)", 122 570 parameters."""
    return [
        keras.Input((32, 32, 3)),
        layers.Rescaling(1 / 255),
        layers.Conv2D(32, 3, activation="relu"),
        layers.MaxPooling2D(),
        layers.Conv2D(64, 3, activation="relu"),
        layers.MaxPooling2D(),
        layers.Conv2D(64, 3, activation="relu"),
        layers.Flatten(),
        layers.Dense(64, activation="relu"),
        layers.Dense(10),
    ]


def cifar10_batch_norm() -> list[Any]:
    """The same convolutions, each followed by batch normalization."""
    return [
        keras.Input((32, 32, 3)),
        layers.Rescaling(1 / 255),
        *normalized(32),
        layers.MaxPooling2D(),
        *normalized(64),
        layers.MaxPooling2D(),
        *normalized(64),
        layers.GlobalAveragePooling2D(),
        layers.Dense(64, activation="relu"),
        layers.Dense(10),
    ]


def normalized(filters: int) -> list[Any]:
    """A convolution with batch normalization."""
    return [layers.Conv2D(filters, 3, use_bias=False), layers.BatchNormalization(), layers.ReLU()]


NETWORKS = {"mnist": mnist, "cifar10": cifar10, "cifar10 with batch norm": cifar10_batch_norm}


def save(name: str, seed: int, path: Path) -> None:
    """Write a network; the seed decides its first weights."""
    keras.utils.set_random_seed(seed)
    model = keras.Sequential(NETWORKS[name]())
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(1e-3), loss, metrics=["accuracy"])
    model.optimizer.build(model.trainable_variables)  # Keras warns when it loads a file without the slots
    model.save(path)
