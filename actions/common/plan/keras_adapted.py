"""Preprocessing layers that were never adapted to data: Keras trains on what they make of it, without a word.

Used by the planner. Adapting is Keras' own work, on the user's machine.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np

from common.errors import ModelError
from common.plan.keras_config import Config, mapping, parts, word

WORDS = ("StringLookup", "IntegerLookup", "TextVectorization")
SPECIAL = 2  # entries of a vocabulary without a word: for padding, and for what is unknown
MEAN, VARIANCE = "0", "1"  # how a Normalization's file calls them


def refuse_unadapted(config: Config) -> None:
    """Refuse layers whose configuration says that they were not adapted; ModelError by name."""
    for part in parts(config):
        settings, kind = mapping(part.get("config")), part.get("class_name")
        lacks_bins = kind == "Discretization" and settings.get("bin_boundaries", ()) is None
        if lacks_bins or (kind in WORDS and lacks_words(settings)):
            refuse(settings.get("name"))


def lacks_words(settings: Config) -> bool:
    """Return whether a lookup has no vocabulary, as far as its configuration says."""
    size = settings.get("vocabulary_size", SPECIAL + 1)
    return settings.get("vocabulary", ()) is None and (size is None or (isinstance(size, int) and size <= SPECIAL))


def normalizations(config: Config) -> frozenset[str]:
    """Return the names of layers that normalize by what they were adapted to."""
    held = [mapping(part.get("config")) for part in parts(config) if part.get("class_name") == "Normalization"]
    return frozenset(str(one.get("name")) for one in held if one.get("mean", ()) is None)


def refuse_identity(name: str | None, variables: Any) -> None:
    """Refuse a Normalization whose variables, in a group of the file, are those of no data: mean 0, variance 1."""
    if {MEAN, VARIANCE} <= set(variables) and not any(differing(variables)):
        refuse(name)


def differing(variables: Any) -> Iterator[bool]:
    """Yield whether mean and variance are other than those of no data."""
    for which, value in ((MEAN, 0.0), (VARIANCE, 1.0)):
        yield bool(np.any(np.asarray(variables[which][()]) != value))


def refuse(name: Any) -> None:
    """Raise ModelError for a layer that was not adapted."""
    raise ModelError(f"model: layer {word(name)} was not adapted, expected layer.adapt(examples) before model.save")
