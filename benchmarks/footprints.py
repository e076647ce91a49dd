"""The models whose memory is estimated and measured: those that the estimate was fitted to, and others."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import keras
from keras import layers, optimizers

CLASSES = 10


@dataclass(frozen=True)
class Sized:
    """A model of ten classes, and the batch that it is trained with."""

    build: Callable[[], Any]
    batch: int


def compiled(model: Any, optimizer: Any = "adam") -> Any:
    """Return a model that is ready to be saved."""
    model.compile(optimizer, "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def stacked(shape: Sequence[int], *body: Any, optimizer: Any = "adam", dtype: str | None = None) -> Any:
    """Return a Sequential model."""
    entry = keras.Input(shape, dtype=dtype)
    return compiled(keras.Sequential([entry, *body, layers.Dense(CLASSES, "softmax")]), optimizer)


def dense(*widths: int, optimizer: Any = "adam") -> Any:
    """Return a multi-layer perceptron on 784 numbers."""
    return stacked((784,), *[layers.Dense(width, "relu") for width in widths], optimizer=optimizer)


def pooled(entry: Any, features: Any, optimizer: Any = "adam") -> Any:
    """Return a model that classifies features, averaged over places or steps."""
    average = layers.GlobalAveragePooling2D() if len(features.shape) == 4 else layers.GlobalAveragePooling1D()
    return compiled(keras.Model(entry, layers.Dense(CLASSES, "softmax")(average(features))), optimizer)


def residual(side: int, widths: Sequence[int], blocks: int, optimizer: Any = "adam") -> Any:
    """Return a residual network with batch norm."""
    entry = keras.Input((side, side, 3))
    x = layers.Conv2D(widths[0], 3, padding="same")(entry)
    for width in widths:
        x = layers.Conv2D(width, 3, strides=2, padding="same")(x)
        for _ in range(blocks):
            inner = layers.Conv2D(width, 3, padding="same")(layers.ReLU()(layers.BatchNormalization()(x)))
            x = layers.Add()([x, inner])
    return pooled(entry, x, optimizer)


def encoder(steps: int, width: int, heads: int, depth: int, words: int) -> Any:
    """Return a Transformer encoder on tokens, normalized behind each part."""
    entry = keras.Input((steps,), dtype="int32")
    x = layers.Embedding(words, width)(entry)
    for _ in range(depth):
        x = layers.LayerNormalization()(layers.Add()([x, layers.MultiHeadAttention(heads, width // heads)(x, x)]))
        inner = layers.Dense(width)(layers.Dense(4 * width, "gelu")(x))
        x = layers.LayerNormalization()(layers.Add()([x, inner]))
    return pooled(entry, x)


def patches(side: int, patch: int, width: int, depth: int) -> Any:
    """Return a small vision Transformer, normalized before each part."""
    entry = keras.Input((side, side, 3))
    x = layers.Reshape(((side // patch) ** 2, width))(layers.Conv2D(width, patch, strides=patch)(entry))
    for _ in range(depth):
        y = layers.LayerNormalization()(x)
        x = layers.Add()([x, layers.MultiHeadAttention(4, width // 4)(y, y)])
        x = layers.Add()([x, layers.Dense(width)(layers.Dense(2 * width, "gelu")(layers.LayerNormalization()(x)))])
    return pooled(entry, x)


def unet(side: int, width: int) -> Any:
    """Return a U-Net whose mask is averaged."""
    entry = keras.Input((side, side, 3))
    same = {"padding": "same", "activation": "relu"}
    one = layers.Conv2D(width, 3, **same)(entry)
    two = layers.Conv2D(2 * width, 3, **same)(layers.MaxPooling2D()(one))
    x = layers.Conv2D(4 * width, 3, **same)(layers.MaxPooling2D()(two))
    x = layers.Concatenate()([layers.Conv2DTranspose(2 * width, 2, strides=2)(x), two])
    x = layers.Conv2DTranspose(width, 2, strides=2)(layers.Conv2D(2 * width, 3, **same)(x))
    return pooled(entry, layers.Conv2D(width, 3, **same)(layers.Concatenate()([x, one])))


def still(application: Any) -> Any:
    """Return a network of Keras' applications that is not trained, without its top."""
    base = application((96, 96, 3), weights=None, include_top=False, pooling="avg")
    base.trainable = False
    return base


FITTED = {
    "mlp-80k": Sized(lambda: dense(100), 32),
    "mlp-3m": Sized(lambda: dense(1500, 1200), 64),
    "mlp-8m-sgd": Sized(lambda: dense(2500, 2400, optimizer="sgd"), 64),
    "mlp-12m": Sized(lambda: dense(3000, 3200), 32),
    "mlp-6m-rmsprop": Sized(lambda: dense(2200, 1900, optimizer="rmsprop"), 128),
    "mlp-12m-momentum": Sized(lambda: dense(3000, 3200, optimizer=optimizers.SGD(0.01, momentum=0.9)), 32),
    "mlp-9m-adamw": Sized(lambda: dense(4000, 1400, 100, optimizer="adamw"), 64),
    "mlp-ema": Sized(lambda: dense(2000, 1000, optimizer=optimizers.Adam(use_ema=True)), 64),
    "mlp-deep": Sized(lambda: dense(*[512] * 12), 256),
    "mlp-batch-norm": Sized(
        lambda: stacked(
            (784,),
            *[part for width in (2000, 1700) for part in (layers.Dense(width, "relu"), layers.BatchNormalization())],
        ),
        64,
    ),
    "cnn": Sized(
        lambda: stacked(
            (28, 28, 1),
            layers.Conv2D(32, 3, activation="relu"),
            layers.MaxPooling2D(),
            layers.Conv2D(64, 3, activation="relu"),
            layers.Flatten(),
            layers.Dense(128, "relu"),
        ),
        64,
    ),
    "cnn-wide": Sized(
        lambda: stacked(
            (64, 64, 3),
            layers.Conv2D(64, 3, padding="same", activation="relu"),
            layers.Conv2D(64, 3, padding="same", activation="relu"),
            layers.MaxPooling2D(),
            layers.Conv2D(128, 3, activation="relu"),
            layers.GlobalAveragePooling2D(),
        ),
        32,
    ),
    "resnet": Sized(lambda: residual(32, [32, 64, 128], 2), 32),
    "resnet-deep": Sized(lambda: residual(48, [48, 96, 192], 3, optimizers.SGD(0.01, momentum=0.9)), 32),
    "mobilenet": Sized(
        lambda: compiled(keras.applications.MobileNetV2((64, 64, 3), weights=None, classes=10, alpha=0.5)), 32
    ),
    "frozen": Sized(lambda: stacked((96, 96, 3), still(keras.applications.MobileNetV2)), 32),
    "unet": Sized(lambda: unet(64, 32), 16),
    "conv1d": Sized(
        lambda: stacked(
            (1000, 4),
            layers.Conv1D(64, 7, activation="relu"),
            layers.MaxPooling1D(4),
            layers.Conv1D(128, 5, activation="relu"),
            layers.GlobalAveragePooling1D(),
        ),
        32,
    ),
    "conv3d": Sized(
        lambda: stacked(
            (16, 32, 32, 1),
            layers.Conv3D(16, 3, activation="relu"),
            layers.MaxPooling3D(),
            layers.Conv3D(32, 3, activation="relu"),
            layers.GlobalAveragePooling3D(),
        ),
        16,
    ),
    "lstm": Sized(lambda: stacked((100, 16), layers.LSTM(128)), 32),
    "bi-gru": Sized(
        lambda: stacked(
            (200, 8), layers.Bidirectional(layers.GRU(64, return_sequences=True)), layers.GlobalAveragePooling1D()
        ),
        32,
    ),
    "embedding": Sized(
        lambda: stacked((60,), layers.Embedding(50000, 64), layers.GlobalAveragePooling1D(), dtype="int32"), 32
    ),
    "text-cnn": Sized(
        lambda: stacked(
            (200,),
            layers.Embedding(20000, 100),
            layers.Conv1D(128, 5, activation="relu"),
            layers.GlobalMaxPooling1D(),
            layers.Dense(64, "relu"),
            dtype="int32",
        ),
        64,
    ),
    "transformer": Sized(lambda: encoder(128, 128, 4, 2, 5000), 16),
    "vit": Sized(lambda: patches(32, 4, 96, 4), 32),
}
UNSEEN = {
    "mlp-5m-nadam": Sized(lambda: dense(2600, 1150, optimizer="nadam"), 32),
    "mlp-2m-adagrad": Sized(lambda: dense(1000, 900, optimizer="adagrad"), 128),
    "mlp-4m-sgd": Sized(lambda: dense(5000, optimizer="sgd"), 64),
    "vgg": Sized(
        lambda: stacked(
            (32, 32, 3),
            *[
                part
                for width in (32, 64, 128)
                for part in (
                    layers.Conv2D(width, 3, padding="same", activation="relu"),
                    layers.Conv2D(width, 3, padding="same", activation="relu"),
                    layers.MaxPooling2D(),
                )
            ],
            layers.Flatten(),
            layers.Dense(256, "relu"),
        ),
        32,
    ),
    "separable": Sized(
        lambda: stacked(
            (48, 48, 3),
            *[
                part
                for width in (32, 64, 96)
                for part in (
                    layers.SeparableConv2D(width, 3, padding="same"),
                    layers.BatchNormalization(),
                    layers.ReLU(),
                    layers.MaxPooling2D(),
                )
            ],
            layers.GlobalAveragePooling2D(),
        ),
        32,
    ),
    "hourglass": Sized(
        lambda: stacked(
            (48, 48, 3),
            layers.Conv2D(32, 3, strides=2, padding="same", activation="relu"),
            layers.Conv2D(64, 3, strides=2, padding="same", activation="relu"),
            layers.Conv2DTranspose(32, 3, strides=2, padding="same", activation="relu"),
            layers.Conv2DTranspose(16, 3, strides=2, padding="same", activation="relu"),
            layers.GlobalAveragePooling2D(),
        ),
        32,
    ),
    "two-grus": Sized(lambda: stacked((60, 20), layers.GRU(96, return_sequences=True), layers.GRU(48)), 64),
    "words": Sized(
        lambda: stacked((80,), layers.Embedding(10000, 128), layers.LSTM(64), layers.Dropout(0.2), dtype="int32"), 32
    ),
    "encoder": Sized(lambda: encoder(64, 192, 6, 3, 8000), 16),
    "densenet": Sized(
        lambda: compiled(keras.applications.DenseNet121(weights=None, input_shape=(32, 32, 3), classes=10)), 8
    ),
    "transfer": Sized(lambda: stacked((96, 96, 3), still(keras.applications.MobileNet), layers.Dense(128, "relu")), 32),
    "dilated": Sized(
        lambda: stacked(
            (400, 6),
            *[layers.Conv1D(48, 3, padding="causal", dilation_rate=2**n, activation="relu") for n in range(6)],
            layers.GlobalAveragePooling1D(),
        ),
        32,
    ),
}
