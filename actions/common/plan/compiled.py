"""What a model was compiled with: its loss and metrics, in each form that a `.keras` file holds; used by the planner.

A form is a name, or the configuration of a function or an object; alone, in lists, or in dicts by the output's name.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from common.errors import ModelError
from common.plan.keras_config import Config, called, is_own, mapping, parts, refuse_code, word
from common.plan.keras_names import LOSSES, MEANS, OTHERS, is_accuracy

Form = str | Config
CROSSENTROPY = "crossentropy"  # Keras takes one of three, by the shape of the labels


def index(*rows: tuple[str, ...]) -> dict[str, str]:
    """Return {any name: the first of its row}."""
    return {name: row[0] for row in rows for name in row}


LOSS_NAMES, METRIC_NAMES, MEAN_NAMES = index(*LOSSES), index(*MEANS, *OTHERS), index(*LOSSES, *MEANS)
SPECIAL = {  # names in capitals or not
    "loss": {"crossentropy": CROSSENTROPY, "ce": CROSSENTROPY},
    "metric": {"accuracy": "accuracy", "acc": "accuracy"},
}
STRINGS = {"loss": LOSS_NAMES, "metric": METRIC_NAMES}
OBJECTS = {"loss": LOSS_NAMES, "metric": LOSS_NAMES | METRIC_NAMES}
PLACES = {"loss": "keras.losses", "metric": "keras.metrics"}


@dataclass(frozen=True)
class Compiled:
    """The loss, in Keras' own spelling, and what the metrics are.

    `any_class`: labels of one number are left out, which may be any. `accuracy`: some metric is called one. `means`:
    all metrics are means over examples, each by a name of its own. `rates`: the schedule of the learning rate, if any.
    """

    loss: str
    any_class: bool
    accuracy: bool
    means: bool
    rates: str | None


def read(config: Any, outputs: list[str] | None) -> Compiled:
    """Read a compile configuration; ModelError for what Keras does not have. `outputs`: names for a dict of losses."""
    held = mapping(config)
    if not held.get("optimizer") or not held.get("loss"):
        raise ModelError(
            "model: got no optimizer and loss, expected a compiled model (model.compile before model.save)"
        )
    refuse_code(held["optimizer"])
    check_outputs(held["loss"], outputs)
    losses = list(forms("loss", held["loss"]))
    if len(losses) != 1:
        raise ModelError(f"loss: got {len(losses)}, expected one loss")
    loss = canonical("loss", losses[0])
    metrics, weighted = (list(forms("metric", held.get(name))) for name in ("metrics", "weighted_metrics"))
    kinds = {canonical("metric", metric) for metric in metrics + weighted}
    names = [name_of(metric) for metric in metrics + weighted]
    means = not weighted and kinds <= set(MEAN_NAMES.values()) and len({"loss", *names}) == len(names) + 1
    return Compiled(
        loss, any_class(losses[0]), any(is_accuracy(name) for name in names), means, schedule(held["optimizer"])
    )


def schedule(optimizer: Any) -> str | None:
    """Return the name of an optimizer's learning-rate schedule, None where its rate is a number."""
    settings = mapping(mapping(optimizer).get("config"))
    if inner := settings.get("inner_optimizer"):  # of a LossScaleOptimizer
        return schedule(inner)
    rate = settings.get("learning_rate")
    return called(rate) if isinstance(rate, dict) else None


def check_outputs(loss: Any, outputs: list[str] | None) -> None:
    """Refuse a dict of losses that Keras itself cannot train: by another name than the output's, or in a Sequential."""
    if not isinstance(loss, dict) or "class_name" in loss:
        return
    if outputs is None:
        raise ModelError("loss: got a dict, expected the loss alone: Keras takes a dict for Functional models only")
    if outputs and (odd := sorted(loss.keys() - set(outputs))):
        raise ModelError(f"loss: got the output {word(odd[0])}, expected {', '.join(map(word, outputs))}")


def forms(kind: str, held: Any) -> Iterator[Form]:
    """Yield each loss or metric, out of lists and dicts."""
    waiting = [held]
    while waiting:
        part = waiting.pop(0)
        if isinstance(part, str) or (isinstance(part, dict) and "class_name" in part):
            yield part
        elif isinstance(part, list | dict):
            waiting[:0] = part.values() if isinstance(part, dict) else part
        elif part is not None:
            raise ModelError(f"{kind}: got {word(part)}, expected one of {PLACES[kind]}")


def canonical(kind: str, form: Form) -> str:
    """Return a loss' or metric's name in Keras' spelling; ModelError, by its own name, for what Keras does not have."""
    if isinstance(form, str):
        name, found = word(form), STRINGS[kind].get(form) or SPECIAL[kind].get(form.lower())
    else:
        name, found = called(form), OBJECTS[kind].get(called(form)) if is_known(form) else None
        for part in parts(form.get("config")):
            if "class_name" in part and not is_known(part):
                name, found = called(part), None
    if not found:
        raise ModelError(f"{kind} {name}: got no {kind} of Keras itself, expected one of {PLACES[kind]}")
    return found


def is_known(part: Config) -> bool:
    """Return whether an object is Keras' own: a class, or a function by the name of a loss or metric."""
    if part.get("class_name") == "function":
        return str(part.get("config")) in OBJECTS["metric"]
    return is_own(part)


def name_of(metric: Form) -> str:
    """Return the name that a metric's value has in results."""
    given = None if isinstance(metric, str) else mapping(metric.get("config")).get("name")
    return metric if isinstance(metric, str) else given if isinstance(given, str) else called(metric)


def any_class(loss: Form) -> bool:
    """Return whether a loss leaves out labels of one number, which may be any."""
    return not isinstance(loss, str) and mapping(loss.get("config")).get("ignore_class") is not None
