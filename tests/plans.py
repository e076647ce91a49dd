"""Plans of few fields."""

from common.data.columns import Columns, Input, Label
from common.plan import plan as plans
from common.plan.plan import Trainer


def plan_of(**fields):
    """Return a plan of these fields; the others are those of a run of one lane that nobody asked for anything."""
    ones = dict.fromkeys(("workers", "epochs", "rounds", "held_out", "shares"), 1)
    numbers = {**ones, "batch": 32, "seed": 0, "counts": [1]}
    small = {"trainer": Trainer("trainer", 384, "trainer", None, None)}
    chosen = {"learning_rate": None, "outer_momentum": 0.0, "optimizer_state": "average", "weighting": "examples"}
    known = {**numbers, **small, **chosen, "columns": Columns((Input("i", ("x",)),), (Label("", ("y",)),))}
    others = {name: None for name in plans.NAMES if name not in known}
    return plans.Plan(**{**others, **known, **fields})
