"""The inputs of a model, as its configuration tells them: names, shapes, and which take text; used by the planner."""

from dataclasses import dataclass
from typing import Any

from common.errors import ModelError
from common.plan.keras_config import Config, listing, mapping

Shape = tuple[int | None, ...]  # without the batch; None stands for any length
# how a configuration spells the shape that an input takes, and whether the batch is in it
SPELLINGS = (("batch_shape", True), ("batch_input_shape", True), ("shape", False), ("input_shape", False))
OF_TEXT = ("TextVectorization", "StringLookup")  # layers that take text, where no input says a type


@dataclass(frozen=True)
class ModelInput:
    """One input: its name in the model, the shape of an example (None where the file does not say), text or numbers."""

    name: str
    shape: Shape | None
    text: bool = False

    def check(self, shape: tuple[int, ...], called: str) -> None:
        """Refuse examples of a shape that it does not take; Keras adds or drops a last axis of 1."""
        if self.shape is None:
            return
        variants = [shape, (*shape, 1)] + ([shape[:-1]] if shape[-1:] == (1,) else [])
        if not any(fits(variant, self.shape) for variant in variants):
            raise ModelError(f"model: its {called} is {self.shape}, expected {shape} as in the dataset")


def fits(shape: tuple[int, ...], expected: Shape) -> bool:
    """Return whether a shape is the expected one."""
    return len(shape) == len(expected) and all(e in (None, s) for s, e in zip(shape, expected, strict=True))


def layers(config: Config) -> list[Config]:
    """Return a model's layers, each with a configuration."""
    held = [mapping(layer) for layer in listing(config["config"].get("layers"))]
    return [layer for layer in held if isinstance(layer.get("config"), dict)]


def ends(config: Config, side: str) -> list[tuple[str, str]]:
    """Return (name, layer) of a Functional model's `input_layers` or `output_layers`, in the order of the file.

    ModelError for what lies deeper than in one list or one dict.
    """
    found = config["config"].get(side)
    if isinstance(found, dict):
        named = list(found.items())
    else:
        references = [found] if listing(found)[:1] and isinstance(found[0], str) else listing(found)
        named = [(reference[0], reference) for reference in references if listing(reference)]
    if any(listing(listing(reference)[:1] and reference[0]) for _, reference in named):
        raise ModelError(f"model: got {side} within each other, expected them in one list, or by names")
    return [(str(name), str(listing(reference)[0])) for name, reference in named if listing(reference)]


def inputs(config: Config) -> tuple[ModelInput, ...]:
    """Return the model's inputs; one of no name and shape where the file does not say."""
    wanted, held = ends(config, "input_layers"), layers(config)
    by_name = {str(layer["config"].get("name")): layer for layer in held if layer.get("class_name") == "InputLayer"}
    found = [described(name, by_name[layer]) for name, layer in wanted if layer in by_name]
    if found and len(found) == len(wanted):
        return tuple(found)
    if len(wanted) > 1:
        raise ModelError(f"model: got {len(wanted)} inputs without their layers, expected a file of model.save")
    first = [*by_name.values(), *held][:1]
    one = described(first[0]["config"].get("name"), first[0]) if first else ModelInput("", None)
    if one.shape is None:
        built = shape_of(mapping(config.get("build_config")).get("input_shape"), batched=True)
        one = ModelInput(one.name, built, one.text)
    return (one,)


def described(name: Any, layer: Config) -> ModelInput:
    """Return an input of the layer that takes it."""
    config = layer["config"]
    is_input = layer.get("class_name") == "InputLayer"
    text = config.get("dtype") == "string" if is_input else layer.get("class_name") in OF_TEXT
    shapes = [shape_of(config.get(spelling), batched) for spelling, batched in SPELLINGS]
    return ModelInput(str(name), next((shape for shape in shapes if shape is not None), None), text)


def shape_of(value: Any, batched: bool) -> Shape | None:
    """Return a shape without the batch, None for what is no shape."""
    axes = listing(value)
    whole = all(axis is None or (isinstance(axis, int) and not isinstance(axis, bool)) for axis in axes)
    if not isinstance(value, list) or not whole or (batched and not axes):
        return None
    return tuple(axes[1:] if batched else axes)
