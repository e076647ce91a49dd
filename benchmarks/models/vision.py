"""Models that tell the class of an image."""

from typing import Any

import keras
from keras import layers

from benchmarks.models.row import Row, classes, classifier, images, normal, sequential
from common.training.model import Data

SHAPE = (8, 8, 3)


def cnn() -> Any:
    """Convolutions and a hidden layer."""
    body = [layers.Rescaling(1 / 255), layers.Conv2D(8, 3, activation="relu"), layers.MaxPooling2D()]
    body += [layers.Conv2D(8, 3, activation="relu"), layers.Flatten(), layers.Dense(16, "relu"), layers.Dense(4)]
    return classifier(sequential(SHAPE, *body), keras.optimizers.SGD(0.02, momentum=0.9, nesterov=True))


def entry() -> tuple[Any, Any]:
    """Return an input of pictures, and its numbers from 0 to 1."""
    taken = keras.Input(SHAPE)
    return taken, layers.Rescaling(1 / 255)(taken)


def head(taken: Any, hidden: Any) -> Any:
    """Return a model that tells classes by features at every place."""
    return keras.Model(taken, layers.Dense(4)(layers.GlobalAveragePooling2D()(hidden)))


def normalized(hidden: Any, filters: int, stride: int = 1) -> Any:
    """Return a convolution with batch normalization."""
    hidden = layers.Conv2D(filters, 3, stride, padding="same", use_bias=False)(hidden)
    return layers.BatchNormalization(momentum=0.9)(hidden)


def resnet() -> Any:
    """Two residual blocks, the second with a projection."""
    taken, hidden = entry()
    hidden = layers.ReLU()(normalized(hidden, 8))
    for filters, stride in ((8, 1), (16, 2)):
        branch = normalized(layers.ReLU()(normalized(hidden, filters, stride)), filters)
        short = hidden if stride == 1 else normalized(hidden, filters, stride)
        hidden = layers.ReLU()(layers.Add()([branch, short]))
    return classifier(head(taken, hidden), keras.optimizers.Adam(1e-3))


def densenet() -> Any:
    """Layers that see all those before them."""
    taken, hidden = entry()
    for _ in range(3):
        found = layers.ReLU()(layers.BatchNormalization()(hidden))
        hidden = layers.Concatenate()([hidden, layers.Conv2D(6, 3, padding="same")(found)])
    return classifier(head(taken, layers.AveragePooling2D(2)(hidden)), "adam")


def separable() -> Any:
    """Convolutions in two parts."""
    body = [layers.Rescaling(1 / 255), layers.DepthwiseConv2D(3, depth_multiplier=4, activation="relu")]
    body += [layers.SeparableConv2D(12, 3, activation="relu"), layers.GlobalMaxPooling2D(), layers.Dense(4)]
    return classifier(sequential(SHAPE, *body), "rmsprop")


def mobilenet() -> Any:
    """Two inverted residuals."""
    taken, hidden = entry()
    hidden = normalized(hidden, 8)
    for _ in range(2):
        wide = layers.ReLU(6.0)(layers.BatchNormalization()(layers.Conv2D(24, 1, use_bias=False)(hidden)))
        deep = layers.DepthwiseConv2D(3, padding="same", use_bias=False)(wide)
        deep = layers.ReLU(6.0)(layers.BatchNormalization()(deep))
        narrow = layers.BatchNormalization()(layers.Conv2D(8, 1, use_bias=False)(deep))
        hidden = layers.Add()([hidden, narrow])
    return classifier(head(taken, hidden), keras.optimizers.RMSprop(1e-3, momentum=0.9))


def squeeze_excite() -> Any:
    """Channels weighed by what the whole picture shows."""
    taken, hidden = entry()
    hidden = layers.Conv2D(12, 3, activation="silu")(hidden)
    gate = layers.GlobalAveragePooling2D(keepdims=True)(hidden)
    gate = layers.Conv2D(12, 1, activation="sigmoid")(layers.Conv2D(4, 1, activation="silu")(gate))
    return classifier(head(taken, layers.Multiply()([hidden, gate])), "adamw")


def vit() -> Any:
    """Attention over patches; an EinsumDense with a bias a place tells where they lie."""
    taken, hidden = entry()
    patches = layers.Reshape((16, 12))(layers.Conv2D(12, 2, 2)(hidden))
    hidden = layers.EinsumDense("btd,de->bte", (16, 12), bias_axes="te")(patches)
    found = layers.LayerNormalization()(hidden)
    hidden = layers.Add()([hidden, layers.MultiHeadAttention(2, 6)(found, found)])
    found = layers.Dense(24, "gelu")(layers.LayerNormalization()(hidden))
    hidden = layers.Add()([hidden, layers.Dense(12)(found)])
    model = keras.Model(taken, layers.Dense(4)(layers.GlobalAveragePooling1D()(hidden)))
    return classifier(model, keras.optimizers.AdamW(1e-3, weight_decay=0.01))


def mlp_mixer() -> Any:
    """Dense layers across places and across channels."""
    taken, hidden = entry()
    hidden = layers.Reshape((16, 12))(layers.Conv2D(12, 2, 2)(hidden))
    places = layers.Permute((2, 1))(layers.LayerNormalization()(hidden))
    places = layers.Dense(16)(layers.Dense(24, "gelu")(places))
    hidden = layers.Add()([hidden, layers.Permute((2, 1))(places)])
    channels = layers.Dense(12)(layers.Dense(24, "gelu")(layers.LayerNormalization()(hidden)))
    pooled = layers.GlobalAveragePooling1D()(layers.Add()([hidden, channels]))
    return classifier(keras.Model(taken, layers.Dense(4)(pooled)), keras.optimizers.Lamb(1e-3))


def augmented() -> Any:
    """Pictures changed by chance before the first convolution."""
    body = [layers.RandomFlip(), layers.RandomRotation(0.1), layers.RandomTranslation(0.1, 0.1), layers.RandomZoom(0.1)]
    body += [layers.RandomContrast(0.2), layers.Rescaling(1 / 255), layers.Conv2D(8, 3, activation="relu")]
    return classifier(sequential(SHAPE, *body, layers.GlobalAveragePooling2D(), layers.Dense(4)), "adam")


def conv3d() -> Any:
    """Convolutions over a volume."""
    body = [layers.Conv3D(6, 3, activation="relu"), layers.MaxPooling3D(), layers.Flatten(), layers.Dense(4)]
    return classifier(sequential((6, 8, 8, 1), *body), "adam")


def volumes() -> Data:
    """Return volumes of four classes."""
    return normal(6, 8, 8, 1), classes()


def group_norm() -> Any:
    """Normalization by groups of channels, which knows no other example."""
    body = [layers.Conv2D(8, 3), layers.GroupNormalization(4), layers.ReLU(), layers.GlobalAveragePooling2D()]
    return classifier(sequential(SHAPE, layers.Rescaling(1 / 255), *body, layers.Dense(4)), "adam")


def spectral_norm() -> Any:
    """Kernels divided by their largest singular value."""
    conv = layers.SpectralNormalization(layers.Conv2D(8, 3, activation="relu"))
    dense = layers.SpectralNormalization(layers.Dense(8, "relu"))
    body = [layers.Rescaling(1 / 255), conv, layers.Flatten(), dense, layers.Dense(4)]
    return classifier(sequential(SHAPE, *body), "adam")


ROWS = (
    Row("cnn", "images", "Conv2D, MaxPooling2D, bytes by Rescaling", cnn, images),
    Row("resnet", "images", "BatchNormalization, Add", resnet, images),
    Row("densenet", "images", "BatchNormalization, Concatenate, AveragePooling2D", densenet, images),
    Row("separable", "images", "DepthwiseConv2D, SeparableConv2D", separable, images),
    Row("mobilenet", "images", "inverted residuals, ReLU(6), BatchNormalization", mobilenet, images),
    Row("squeeze-excite", "images", "Multiply by a gate, silu", squeeze_excite, images),
    Row("vit", "images", "patches, MultiHeadAttention, EinsumDense", vit, images),
    Row("mlp-mixer", "images", "Permute, LayerNormalization, gelu", mlp_mixer, images),
    Row("group-norm", "images", "GroupNormalization", group_norm, images),
    Row("spectral-norm", "images", "SpectralNormalization", spectral_norm, images),
    Row("augmented", "images", "RandomFlip, -Rotation, -Translation, -Zoom, -Contrast", augmented, images, random=True),
    Row("conv3d", "volumes", "Conv3D, MaxPooling3D", conv3d, volumes),
)
