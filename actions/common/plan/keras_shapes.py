"""Which shape a layer gives for the shapes it takes, by its configuration alone; a test compares with Keras itself.

Shapes are without the batch, the channels last. A layer that is not known gives what it takes.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

from common.plan.keras_config import Config, listing, mapping

Shape = list[int]
CONVOLUTIONS = (
    "Conv1D",
    "Conv2D",
    "Conv3D",
    "SeparableConv1D",
    "SeparableConv2D",
    "DepthwiseConv1D",
    "DepthwiseConv2D",
)
TRANSPOSED = ("Conv1DTranspose", "Conv2DTranspose", "Conv3DTranspose")
RECURRENT = ("LSTM", "GRU", "SimpleRNN")
WRAPPERS = ("Bidirectional", "TimeDistributed", "SpectralNormalization")
ATTENTIONS = ("Attention", "AdditiveAttention")


def given(layer: Config, taken: Sequence[Shape]) -> Shape:
    """Return the shape that a layer gives, the first one where it gives several."""
    kind, settings = str(layer.get("class_name")), mapping(layer.get("config"))
    first = list(taken[0]) or [1]
    rule = RULES.get(kind)
    if kind == "Concatenate":
        return joined(taken, settings.get("axis"))
    if kind in WRAPPERS:
        return wrapped(kind, settings, first)
    if kind.startswith("Global"):
        return [*([1] * (len(first) - 1) if settings.get("keepdims") else []), first[-1]]
    if kind in ATTENTIONS:
        return [*first[:-1], taken[1][-1] if len(taken) > 1 else first[-1]]
    return rule(settings, first) if rule else broadest(taken)


def broadest(taken: Sequence[Shape]) -> Shape:
    """Return the largest shape: of what is added, multiplied or merely changed."""
    return list(max(taken, key=math.prod))


def joined(taken: Sequence[Shape], axis: Any) -> Shape:
    """Return the shape of tensors side by side along an axis, in which the batch counts."""
    place = axis if isinstance(axis, int) else -1
    place = place - 1 if place > 0 else place
    found = list(taken[0])
    if -len(found) <= place < len(found) and all(len(one) == len(found) for one in taken):
        found[place] = sum(one[place] for one in taken)
    return found


def wrapped(kind: str, settings: Config, first: Shape) -> Shape:
    """Return what a layer around another gives."""
    inner = mapping(settings.get("layer"))
    if kind == "TimeDistributed" and len(first) > 1:
        return [first[0], *given(inner, [first[1:]])]
    found = given(inner, [first])
    if kind != "Bidirectional":
        return found
    return [*found[:-1], 2 * found[-1]] if settings.get("merge_mode", "concat") == "concat" else found


def numbers(value: Any, count: int) -> list[int]:
    """Return a setting of several axes: a number for each, or one for all; 1 for what is none."""
    held = value if isinstance(value, list) else [value] * count
    return [one if isinstance(one, int) and one > 0 else 1 for one in (held * count)[:count]]


def windows(settings: Config, axes: Shape, size: Any) -> Shape:
    """Return how often a window fits along each axis."""
    count = len(axes)
    sizes, dilations = numbers(size, count), numbers(settings.get("dilation_rate"), count)
    strides = numbers(settings.get("strides") or settings.get("pool_size"), count)
    spans = [(one - 1) * dilation + 1 for one, dilation in zip(sizes, dilations, strict=True)]
    whole = settings.get("padding") in ("same", "causal")
    return [
        max(1, -(-axis // stride) if whole else (axis - span) // stride + 1)
        for axis, stride, span in zip(axes, strides, spans, strict=True)
    ]


def convolution(settings: Config, shape: Shape) -> Shape:
    """Return what a convolution gives; a depthwise one has no filters of its own."""
    channels = settings.get("filters") or shape[-1] * (settings.get("depth_multiplier") or 1)
    return [*windows(settings, shape[:-1], settings.get("kernel_size")), int(channels)]


def transposed(settings: Config, shape: Shape) -> Shape:
    """Return what a transposed convolution gives."""
    axes = shape[:-1]
    strides, sizes = (numbers(settings.get(name), len(axes)) for name in ("strides", "kernel_size"))
    more = [
        0 if settings.get("padding") == "same" else max(size - stride, 0)
        for size, stride in zip(sizes, strides, strict=True)
    ]
    return [
        *(axis * stride + one for axis, stride, one in zip(axes, strides, more, strict=True)),
        int(settings.get("filters") or 1),
    ]


def pooling(settings: Config, shape: Shape) -> Shape:
    """Return what a pooling gives."""
    return [*windows(settings, shape[:-1], settings.get("pool_size")), shape[-1]]


def recurrent(settings: Config, shape: Shape) -> Shape:
    """Return what a recurrent layer gives: its last step, or all."""
    units = int(settings.get("units") or 1)
    return [*shape[:-1], units] if settings.get("return_sequences") else [units]


def stepwise(settings: Config, shape: Shape) -> Shape:
    """Return what a recurrent convolution gives: its last step, or all."""
    found = convolution(settings, shape[1:])
    return [shape[0], *found] if settings.get("return_sequences") else found


def last(name: str) -> Callable[[Config, Shape], Shape]:
    """Return the rule of a layer that changes the last axis to a setting."""
    return lambda settings, shape: [*shape[:-1], int(settings.get(name) or 1)]


def grown(settings: Config, shape: Shape) -> Shape:
    """Return what an upsampling gives."""
    sizes = numbers(settings.get("size"), len(shape) - 1)
    return [*(axis * size for axis, size in zip(shape, sizes, strict=False)), shape[-1]]


def padded(sign: int) -> Callable[[Config, Shape], Shape]:
    """Return the rule of a layer that adds to or takes from both ends of each axis."""

    def rule(settings: Config, shape: Shape) -> Shape:
        held = settings.get("padding" if sign > 0 else "cropping")
        both = (
            [sum(one) if isinstance(one, list) else 2 * one for one in listing(held)] if isinstance(held, list) else []
        )
        if len(shape) == 2 and isinstance(held, list) and all(isinstance(one, int) for one in held):
            both = [sum(held)]
        return [*(max(1, axis + sign * more) for axis, more in zip(shape, both, strict=False)), *shape[len(both) :]]

    return rule


def reshaped(settings: Config, shape: Shape) -> Shape:
    """Return what a Reshape gives, an axis of -1 filled."""
    target = [axis for axis in listing(settings.get("target_shape")) if isinstance(axis, int)]
    rest = math.prod(shape) // max(1, math.prod(axis for axis in target if axis > 0))
    return [axis if axis > 0 else rest for axis in target] or shape


RULES: dict[str, Callable[[Config, Shape], Shape]] = {
    **dict.fromkeys(CONVOLUTIONS, convolution),
    **dict.fromkeys(TRANSPOSED, transposed),
    **dict.fromkeys(RECURRENT, recurrent),
    **{f"{kind}Pooling{axes}D": pooling for kind in ("Max", "Average") for axes in (1, 2, 3)},
    **{f"UpSampling{axes}D": grown for axes in (1, 2, 3)},
    **{f"ZeroPadding{axes}D": padded(1) for axes in (1, 2, 3)},
    **{f"Cropping{axes}D": padded(-1) for axes in (1, 2, 3)},
    **{f"ConvLSTM{axes}D": stepwise for axes in (1, 2, 3)},
    "Dense": last("units"),
    "Embedding": lambda settings, shape: [*shape, int(settings.get("output_dim") or 1)],
    "Flatten": lambda _, shape: [math.prod(shape)],
    "Reshape": reshaped,
    "Permute": lambda settings, shape: [shape[axis - 1] for axis in listing(settings.get("dims"))] or shape,
    "RepeatVector": lambda settings, shape: [int(settings.get("n") or 1), *shape],
    "Dot": lambda _, shape: [1],
}
