"""The optimizers of Keras, and how many tensors each keeps for a weight; used by the planner.

A test compares with Keras.
"""

from typing import Any

from common.plan.keras_config import Config, mapping, parts

SEVERAL, SCALED = "MultiOptimizer", "LossScaleOptimizer"
# How many tensors an optimizer keeps for each weight; those that a setting adds are in EXTRA.
SLOTS = {
    "SGD": 0, "RMSprop": 1, "Adam": 2, "AdamW": 2, "Nadam": 2, "Adamax": 2, "Adagrad": 1, "Adadelta": 2, "Ftrl": 2,
    "Lion": 1, "Lamb": 2, "Muon": 2, "Adafactor": 1, "ScheduleFreeAdamW": 2,
}  # fmt: skip
EXTRA = ("momentum", "centered", "amsgrad", "use_ema", "gradient_accumulation_steps")
MOST = 3  # where the optimizer is none of these


def slots_of(optimizer: Any) -> int:
    """Return how many tensors an optimizer keeps for each weight, the most where there are several."""
    found = [part for part in parts(optimizer) if "class_name" in part and part["class_name"] not in (SEVERAL, SCALED)]
    return max((slots(part) for part in found if is_optimizer(part)), default=MOST)


def is_optimizer(part: Config) -> bool:
    """Return whether a part of a configuration is an optimizer that changes weights, known or not."""
    return part["class_name"] in SLOTS or "learning_rate" in mapping(part.get("config"))


def slots(optimizer: Config) -> int:
    """Return how many tensors one optimizer keeps for each weight."""
    settings = mapping(optimizer.get("config"))
    usual = SLOTS.get(str(optimizer["class_name"]), MOST)
    own = ("momentum",) if optimizer["class_name"] == "Muon" else ()
    return usual + sum(bool(settings.get(name)) for name in EXTRA if name not in own)
