"""How large the activations of a model are for one example, by its configuration alone; used by the planner.

A Functional model's file says the shape of every tensor that a layer takes; a Sequential one's what layers with weights
take. What a layer gives follows from that, by the rules of keras_shapes.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from common.plan.keras_config import Config, listing, mapping, parts
from common.plan.keras_shapes import Shape, given

MODELS = ("Functional", "Sequential", "Model")
RECURRENT = {"LSTM": 16, "GRU": 18, "SimpleRNN": 6, "ConvLSTM2D": 16}  # tensors of the units' width that a step keeps
ATTENTIONS = ("MultiHeadAttention", "GroupQueryAttention")
KEPT = {"LayerNormalization": 3, "Dropout": 2, "SpatialDropout1D": 2}  # outputs' size; else 1
CURVED = {"gelu": 4, "silu": 2, "swish": 2, "softplus": 1, "elu": 1, "selu": 1, "mish": 4}  # more, where they are kept


@dataclass(frozen=True)
class Activation:
    """What a layer keeps for the backward pass, in numbers an example, and the shape it gives to the next one."""

    kept: int
    given: Shape
    frozen: bool = False  # nothing before it is trained, so nothing is kept


def activations(config: Config, length: int) -> list[Activation]:
    """Return the activations of a model's layers; `length` stands for axes of any length."""
    return list(of_model(config, length, [length], True))


def of_model(model: Config, length: int, before: Shape, first: bool) -> Iterator[Activation]:
    """Yield those of a model, which may be a layer of another; `first`: nothing before it is trained."""
    for layer in map(mapping, listing(mapping(model.get("config")).get("layers"))):
        first = first and not trains(layer)
        taken = inbound(layer, length) or shapes(layer.get("build_config"), length) or [before]
        if layer.get("class_name") in MODELS:
            found = list(of_model(layer, length, taken[0], first))
            before = found[-1].given if found else before
            yield from found
        elif layer.get("class_name") == "InputLayer":
            entry = mapping(layer.get("config"))
            before = next(iter(shapes([entry.get("batch_shape") or entry.get("batch_input_shape")], length)), before)
        else:
            before = given(layer, taken)
            yield Activation(kept(layer, taken, math.prod(before)), before, first)


def trains(layer: Config) -> bool:
    """Return whether training changes a layer, as far as it has weights."""
    still = {mapping(part.get("config")).get("trainable") for part in parts(layer)}
    return True in still and ("build_config" in layer or layer.get("class_name") in MODELS)


def kept(layer: Config, taken: Sequence[Shape], after: int) -> int:
    """Return how many numbers an example a layer keeps for the backward pass, of `after` that it gives."""
    kind, settings = str(layer.get("class_name")), mapping(layer.get("config"))
    inner = mapping(settings.get("layer"))  # of Bidirectional and TimeDistributed
    if tensors := RECURRENT.get(kind) or RECURRENT.get(str(inner.get("class_name"))):
        units = width(settings) or width(mapping(inner.get("config")))
        return tensors * steps(taken) * units * (2 if kind == "Bidirectional" else 1)
    if kind in ATTENTIONS:
        return attention(settings, steps(taken))
    return after * (KEPT.get(kind, 1) + CURVED.get(str(settings.get("activation")), 0))


def width(settings: Config) -> int:
    """Return a recurrent layer's units, or filters."""
    found = settings.get("units") or settings.get("filters")
    return found if isinstance(found, int) else 0


def attention(settings: Config, long: int) -> int:
    """Return what an attention keeps: queries, keys, values and its result, and three times the scores of each head."""
    heads = settings.get("num_heads") or settings.get("num_query_heads") or 1
    across = settings.get("key_dim") or settings.get("head_dim") or 1
    return int(4 * long * heads * across + 3 * heads * long * long)


def steps(taken: Sequence[Shape]) -> int:
    """Return how many steps a series has."""
    return taken[0][0] if len(taken[0]) > 1 else 1


def inbound(layer: Config, length: int) -> list[Shape]:
    """Return the shapes that a layer of a Functional model takes, where it is first called."""
    nodes = listing(layer.get("inbound_nodes"))[:1]
    tensors = [mapping(part["config"]) for part in parts(nodes) if part.get("class_name") == "__keras_tensor__"]
    return shapes([tensor.get("shape") for tensor in tensors], length)


def shapes(held: Any, length: int) -> list[Shape]:
    """Return the shapes, without the batch, of a configuration that holds some."""
    found = []
    waiting = [held]
    while waiting:
        part = waiting.pop(0)
        if listing(part) and all(axis is None or isinstance(axis, int) for axis in part):
            found.append([axis or length for axis in part[1:]] or [1])
        else:
            waiting[:0] = listing(part) or list(mapping(part).values())
    return found
