"""What a model was compiled with: its loss and metrics, in each form that a `.keras` file holds; used by the planner.

A form is a name, or the configuration of a function or an object; alone, in lists, or in dicts by the output's name.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from common.errors import ModelError
from common.plan.keras_config import Config, called, is_own, mapping, parts, refuse_code, way_out, word
from common.plan.keras_names import LOSSES, MEANS, OTHERS, is_accuracy
from common.plan.plugins import plugin

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
SEVERAL = "MultiOptimizer"
PLACES = {"loss": "keras.losses", "metric": "keras.metrics"}


@dataclass(frozen=True)
class Names:
    """What a Functional model's outputs are called, and whether it gives them in a dict of these names."""

    outputs: tuple[str, ...]
    by_name: bool


@dataclass(frozen=True)
class Loss:
    """A loss, in Keras' own spelling; `any_class`: it leaves out labels of one number, which may be any."""

    name: str
    any_class: bool


@dataclass(frozen=True)
class Compiled:
    """The loss of each output, None where it has none, in the outputs' order, and what the metrics are.

    `accuracy`: some metric is called one. `means`: all are means over examples. `rates`: the schedule of the learning
    rate, if any; `rate`: that rate, where it is a number. `one_rate`: whether the optimizer has one, not several by the
    names of weights.
    """

    losses: dict[str, Loss | None]
    accuracy: bool
    means: bool
    rates: str | None
    one_rate: bool
    rate: float | None


def read(config: Any, names: Names | None) -> Compiled:
    """Read a compile configuration; ModelError for what Keras does not have. `names`: None for a Sequential."""
    held = mapping(config)
    if not held.get("optimizer") or not held.get("loss"):
        raise ModelError(
            "model: got no optimizer and loss, expected a compiled model (model.compile before model.save)"
        )
    refuse_code(held["optimizer"], "optimizers")
    found = losses(held["loss"], names)
    metrics, weighted = (list(forms("metric", held.get(name))) for name in ("metrics", "weighted_metrics"))
    kinds = {canonical("metric", metric) for metric in metrics + weighted}
    called_so = [name_of(metric) for metric in metrics + weighted]
    own = any(map(plugin, parts(metrics)))  # inside a wrapper, too: it may give one number a batch
    means = not weighted and not own and kinds <= set(MEAN_NAMES.values()) and "loss" not in called_so
    accuracy = any(is_accuracy(name) for name in called_so)
    rates, one_rate = learning_rate(held["optimizer"]), has_one_rate(held["optimizer"])
    return Compiled(found, accuracy, means, schedule(rates), one_rate, number(rates))


def losses(held: Any, names: Names | None) -> dict[str, Loss | None]:
    """Return the loss of each output, as Keras takes them: one for all, a list in their order, or a dict by names."""
    outputs = (names.outputs if names else ()) or ("",)
    if isinstance(held, dict) and "class_name" not in held:
        check_names(held, names)
        parted = [held.get(name) for name in outputs]
    elif isinstance(held, list) and len(outputs) > 1:
        check_list(held, names)
        parted = held
    else:
        parted = [held] * len(outputs)
    found = {name: loss_of(part) for name, part in zip(outputs, parted, strict=True)}
    if not any(found.values()):
        raise ModelError("loss: got None for every output, expected one loss at least")
    return found


def loss_of(held: Any) -> Loss | None:
    """Return an output's loss, None where it has none."""
    given = list(forms("loss", held))
    if len(given) > 1:
        raise ModelError(f"loss: got {len(given)}, expected one loss")
    return Loss(canonical("loss", given[0]), any_class(given[0])) if given else None


def has_one_rate(optimizer: Any) -> bool:
    """Return whether an optimizer is one for all weights; ModelError where one of several keeps averages of its own."""
    held = list(parts(optimizer))
    if not any(part.get("class_name") == SEVERAL for part in held):
        return True
    if any(mapping(part.get("config")).get("use_ema") is True for part in held):
        raise ModelError(f"model: got use_ema in an optimizer of a {SEVERAL}, expected none: give it to one for all")
    return False


def learning_rate(optimizer: Any) -> Any:
    """Return what an optimizer's configuration says of its learning rate: a number, or a schedule's configuration."""
    settings = mapping(mapping(optimizer).get("config"))
    inner = settings.get("inner_optimizer")  # of a LossScaleOptimizer
    return learning_rate(inner) if inner else settings.get("learning_rate")


def schedule(rate: Any) -> str | None:
    """Return the name of a learning-rate schedule, None for a number."""
    return called(rate) if isinstance(rate, dict) else None


def number(rate: Any) -> float | None:
    """Return a learning rate that is a number, None for a schedule."""
    return float(rate) if isinstance(rate, int | float) and not isinstance(rate, bool) else None


def check_names(losses: Config, names: Names | None) -> None:
    """Refuse a dict of losses that Keras itself cannot train: by other names than the outputs', or in a Sequential."""
    if names is None:
        raise ModelError("loss: got a dict, expected the loss alone: Keras takes a dict for Functional models only")
    expected = ", ".join(map(word, names.outputs))
    if names.outputs and (odd := sorted(losses.keys() - {*names.outputs})):
        raise ModelError(f"loss: got the output {word(odd[0])}, expected {expected}")
    if not names.by_name and (lacking := [name for name in names.outputs if name not in losses]):
        raise ModelError(f"loss: got none for the output {word(lacking[0])}, expected a list, with None there")


def check_list(losses: list[Any], names: Names | None) -> None:
    """Refuse a list of losses that does not say whose they are."""
    if names and names.by_name:
        raise ModelError("loss: got a list, expected a dict by names, as the model gives its outputs")
    if names and len(losses) != len(names.outputs):
        raise ModelError(f"loss: got {len(losses)}, expected one for each of {len(names.outputs)} outputs")


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
    if not isinstance(form, str) and (own := plugin(form)):
        return own
    instead = ""
    if isinstance(form, str):
        name, found = word(form), STRINGS[kind].get(form) or SPECIAL[kind].get(form.lower())
    else:
        name, found = called(form), OBJECTS[kind].get(called(form)) if is_known(form) else None
        instead = way_out(form)
        for part in parts(form.get("config")):
            if "class_name" in part and not is_known(part):
                name, found, instead = called(part), None, way_out(part)
    if not found:
        raise ModelError(f"{kind} {name}: got no {kind} of Keras itself, expected one of {PLACES[kind]}{instead}")
    return found


def is_known(part: Config) -> bool:
    """Return whether an object is Keras' own, a class, or a function by the name of a loss or metric; or a plugin's."""
    if plugin(part):
        return True
    if part.get("class_name") == "function":
        return str(part.get("config")) in OBJECTS["metric"]
    return is_own(part)


def name_of(metric: Form) -> str:
    """Return the name that a metric's value has in results."""
    given = None if isinstance(metric, str) else mapping(metric.get("config")).get("name")
    return metric if isinstance(metric, str) else given if isinstance(given, str) else called(metric)


def any_class(loss: Form) -> bool:
    """Return whether labels may be any: a loss leaves out those of one number, or is a plugin's."""
    if isinstance(loss, str):
        return False
    return bool(plugin(loss)) or mapping(loss.get("config")).get("ignore_class") is not None
