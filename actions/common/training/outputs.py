"""A model's outputs: their labels in the form that Keras compares with, their metrics by the names of its results.

Used by the learner; imports Keras as that does.
"""

from collections.abc import Mapping
from functools import partial
from typing import Any


def arranged(model: Any, labels: Any) -> Any:
    """Return labels by the outputs' names, in the outputs' order, as the model gives these: in a dict or in a list."""
    return [*labels.values()] if isinstance(labels, Mapping) and not isinstance(model.output, dict) else labels


def metrics(model: Any) -> dict[str, Any]:
    """Return every metric by the name that its value has in Keras' results."""
    found: dict[str, Any] = {}
    for metric in model.metrics:
        held = getattr(metric, "metrics", None)  # of CompileMetrics
        found |= {metric.name: metric} if held is None else named(metric, held)
    return found


def named(compiled: Any, held: list[Any]) -> dict[str, Any]:
    """Return the metrics that a model was compiled with by their names.

    Keras alone knows these, with outputs before them and numbers behind, and says them with the results only.
    """
    try:
        for metric in held:
            metric.result = partial(itself, metric)
        return dict(compiled.result())
    finally:
        for metric in held:
            del metric.result


def itself(metric: Any) -> Any:
    """Return a metric in place of its result."""
    return metric
