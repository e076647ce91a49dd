"""What happened to each tensor of a model where lanes were averaged, as the report says it; used by the report."""

from typing import Any

from common.plan.plan import Plan
from common.rounds import rounds
from common.storage import keys, state
from common.storage.run import Run

NAMED = 100  # tensors by name, of each kind; their number is told in full


def told(run: Run, plan: Plan) -> dict[str, Any] | None:
    """Return, by what happened to them, how many tensors there are and which; None where a lane was alone.

    `mean`: weighted by examples or as asked; `moments`: mean and variance of all lanes' samples together; `forward`:
    brought forward by the updates of all lanes; `first`: lane 0's, or the same in all.
    """
    if plan.workers == 1:
        return None
    progress = rounds.reader(run, keys.state_key(0, 0, plan.schedule().steps(0, 0))).progress
    found: dict[str, list[str]] = {"mean": [], "moments": [], "forward": [], "first": []}
    for name, rule in progress.rules.items():
        found[kind(name, rule, progress.decays)].append(name)
    return {one: {"count": len(names), "tensors": names[:NAMED]} for one, names in found.items()}


def kind(name: str, rule: str, decays: dict[str, float]) -> str:
    """Return what happened to a tensor."""
    if rule == state.KEEP:
        return "first"
    if name in decays:
        return "forward"
    return "mean" if rule == state.MEAN else "moments"
