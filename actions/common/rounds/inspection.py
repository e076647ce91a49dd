"""The inspection of what trainers leave in the store: nothing is believed that the plan knows.

Used by the reducer, the evaluator and `status`. A trainer holds URLs of whole objects and may write anything to them.
Each check raises InspectionError with what came and what was expected. What none can see are numbers that are possible
and wrong (docs/decisions/0013).
"""

import hashlib
import json
import math
import re
import reprlib
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from common.errors import InspectionError
from common.plan.keras_names import is_accuracy
from common.plan.plan import Plan
from common.plan.schedule import share
from common.rounds.averaging import Chunk, Lane, Read, shapes, spans
from common.rounds.ledger import LONGEST_SECONDS
from common.storage import state
from common.storage.run import Run
from common.storage.state import Entry, Progress

MEMORY_LIMIT = 1 << 40  # bytes
DOCUMENT_LIMIT = 1 << 20  # bytes: a metric may have a number a class
COUNT_LIMIT = 1 << 53  # up to here a float holds every integer
MEAN_LIMIT = 3.5e38  # Keras sums in float32
CALLS = 1000  # of a shared layer, in a step
KINDS, NAME = 16, 400  # of processors: how many in a round, and how long
ROUNDING = 1e-5
TENSOR = re.compile(r"(trainable|weight|optimizer|seed)\.\d{4,}\..+", re.DOTALL)
SHA256, MD5 = re.compile(r"[0-9a-f]{64}"), re.compile(r"[0-9a-f]{32}")
PARTNERS = {state.MOMENTS_MEAN: state.MOMENTS_VARIANCE, state.MOMENTS_VARIANCE: state.MOMENTS_MEAN}
# What Keras calls these is a part of 1, whatever else a model measures.
ACCURACIES = {
    *("acc", "accuracy", "binary_accuracy", "categorical_accuracy", "sparse_categorical_accuracy"),
    *("top_k_categorical_accuracy", "sparse_top_k_categorical_accuracy"),
}


@dataclass(frozen=True)
class Due:
    """What the plan says of a lane's state: whose it is, after how many steps and examples."""

    round: int
    lane: int
    step: int
    examples: int
    validated: bool  # whether the lane must have evaluated its model on the validation set
    start_rows: int  # on how many examples it must have evaluated what it started from

    @classmethod
    def of(cls, plan: Plan, number: int, lane: int, step: int) -> "Due":
        """Return what is due after a step of a lane's round."""
        steps = plan.schedule()
        last = step == steps.steps(number, lane)
        validated = last and plan.weighting == "accuracy"
        first, end = plan.validation_share(plan.workers, lane) if plan.validates(number) else (0, 0)
        return cls(number, lane, step, steps.examples(number, lane, step), validated, end - first)


class Inspected(Lane):
    """A lane's state that is what the plan says; each of its numbers is looked at when it is read."""

    def __init__(self, read: Read, ahead: int, size: int, due: Due) -> None:
        super().__init__(read, ahead)
        check_tensors(self.tensors, size)
        try:
            progress = self.progress
        except (ValueError, TypeError, RecursionError) as error:
            raise InspectionError(f"metadata: got what cannot be read ({type(error).__name__})") from None
        check_rules(self.tensors, progress.rules)
        check_progress(progress, due)
        check_decays(progress)
        self.due, self.rules = due, progress.rules

    def chunk(self, name: str, first: int, last: int) -> Chunk:
        """Return elements first..last of a tensor, flat; refuse numbers that cannot be trained on."""
        values = super().chunk(name, first, last)
        if values.dtype.kind == "f":
            most = state.limit(name, self.rules[name], values.dtype)
            if not state.within(values, most):
                raise InspectionError(f"{name}: got NaN or a number beyond {most:.3g}", self.due.lane)
        return values

    def read_all(self) -> None:
        """Look at every number."""
        for name, entry in self.tensors.items():
            for first, last in spans(entry):
                self.chunk(name, first, last)

    @property
    def signature(self) -> str:
        """Return the digest of what all lanes' states have in common: tensors, rules, decays, names of sums."""
        progress = self.progress
        common = [shapes(self.tensors), progress.rules, progress.decays, sorted(progress.sums)]
        return hashlib.sha256(json.dumps(common, sort_keys=True).encode()).hexdigest()


def dissenters(values: Mapping[int, str], known: str | None) -> list[int]:
    """Return the lanes that say other than what is known, or than most; all of them where there is no majority."""
    if known is None:
        voted, votes = Counter(values.values()).most_common(1)[0]
        known = voted if 2 * votes > len(values) else None
    return [lane for lane, value in values.items() if value != known]


def check_tensors(tensors: Mapping[str, Entry], size: int) -> None:
    """Refuse other names than a trainer's, another order in the file than its own, and a file of another size."""
    for name in tensors:
        if not TENSOR.fullmatch(name):
            raise InspectionError(f"tensors: got the name {shown(name)}, expected one of a model's variables")
    if list(tensors) != sorted(tensors, key=lambda name: (-tensors[name].dtype.itemsize, name)):
        raise InspectionError("tensors: got another order than by width and name")
    end = max((entry.end for entry in tensors.values()), default=0)
    if end != size:
        raise InspectionError(f"tensors: got a file of {size} bytes, expected {end} by its header")


def check_rules(tensors: Mapping[str, Entry], rules: Any) -> None:
    """Refuse rules that no trainer gives: a tensor's name, type and shape decide, but for moments, which are pairs."""
    if not isinstance(rules, dict) or rules.keys() != tensors.keys():
        raise InspectionError(f"rules: got {shown(rules)}, expected one for each of {len(tensors)} tensors")
    for name, entry in tensors.items():
        expected = state.rule(name, entry.dtype.kind == "f", entry.shape)
        if rules[name] != expected and not moments(name, tensors, rules):
            raise InspectionError(f"rules: {shown(name)}: got {shown(rules[name])}, expected {expected}")


def moments(name: str, tensors: Mapping[str, Entry], rules: Mapping[str, Any]) -> bool:
    """Return whether a tensor is the mean or the variance of a pair that name each other."""
    kind, _, partner = str(rules[name]).partition(":")
    if f"{kind}:" not in PARTNERS or rules.get(partner) != PARTNERS[f"{kind}:"] + name:
        return False
    alike = tensors[name][:2] == tensors[partner][:2] and tensors[name].dtype.kind == "f"
    return alike and name.startswith("weight.") and partner.startswith("weight.")


def check_decays(progress: Progress) -> None:
    """Refuse decays of what is not averaged, and counts of updates that no training makes: none, or one a step."""
    if not isinstance(progress.decays, dict) or not isinstance(progress.updates, dict):
        raise InspectionError(f"decays: got {shown(progress.decays)} and {shown(progress.updates)}, expected objects")
    if progress.updates.keys() != (progress.decays.keys() if progress.step else set()):
        raise InspectionError(f"updates: got {shown(progress.updates)}, expected those of {shown(progress.decays)}")
    for name, decay in progress.decays.items():
        if progress.rules.get(name, state.KEEP) == state.KEEP:
            raise InspectionError(f"decays: got {shown(name)}, expected tensors that are averaged")
        check_number(f"decays: {shown(name)}", decay, 0, 1)
    for name, count in progress.updates.items():
        check_number(f"updates: {shown(name)}", count, progress.step - 1 if count else 0, CALLS * progress.examples)


def check_progress(progress: Progress, due: Due) -> None:
    """Refuse what a lane says of its round where it is other than what is due, or impossible."""
    for name in ("round", "lane", "step", "examples"):
        check_equal(name, getattr(progress, name), getattr(due, name))
    for name in ("seconds", "activation_seconds"):  # a slice does a step at least
        check_number(name, getattr(progress, name), 0, LONGEST_SECONDS * max(1, due.step))
    check_number("memory", progress.memory, 0, MEMORY_LIMIT)
    check_processors(progress.processors)
    check_sums(progress.sums, due.examples)
    check_validation(progress, due)
    check_measured("start_sums", progress.start_sums, due.start_rows)


def check_measured(name: str, sums: Any, rows: int) -> None:
    """Refuse the sums of an evaluation on a share where none is due, and those of another number of examples."""
    if rows:
        check_sums(sums, rows)
    else:
        check_equal(name, sums or None, None)


def check_sums(sums: Any, examples: int) -> None:
    """Refuse totals and counts that no training gives: those of the loss count every example."""
    if not isinstance(sums, dict) or ("loss" in sums) != (examples > 0):
        raise InspectionError(f"sums: got {shown(sums)}, expected those of loss and metrics")
    for name, pair in sums.items():
        if not isinstance(pair, list) or len(pair) != 2:
            raise InspectionError(f"sums: {shown(name)}: got {shown(pair)}, expected a total and a count")
        total, count = pair
        check_number(f"sums: {shown(name)}: count", count, 0, COUNT_LIMIT)
        low, high = bounds(name)
        check_number(f"sums: {shown(name)}: total", total, low * count, high * count)
    if "loss" in sums:
        check_equal("sums: loss: count", sums["loss"][1], float(examples))


def check_processors(names: Any) -> None:
    """Refuse what are no short names: the report shows them."""
    texts = isinstance(names, list) and all(isinstance(name, str) and len(name) <= NAME for name in names)
    if not texts or len(names) > KINDS:
        raise InspectionError(f"processors: got {shown(names)}, expected a few names")


def bounds(name: str) -> tuple[float, float]:
    """Return between what a metric lies."""
    return (0.0, 1 + ROUNDING) if name in ACCURACIES else (-MEAN_LIMIT, MEAN_LIMIT)


def check_validation(progress: Progress, due: Due) -> None:
    """Refuse a validation where none is due, and one whose accuracy cannot weigh."""
    if not due.validated:
        check_equal("validation", progress.validation, None)
        return
    check_scores(progress.validation)
    for name, value in (progress.validation or {}).items():
        if is_accuracy(name):
            check_number(f"validation: {shown(name)}", value, 0, 1)


def check_scores(scores: Any) -> None:
    """Refuse what no evaluation gives: a loss that is no number, an accuracy beyond 0..1."""
    if not isinstance(scores, dict) or type(scores.get("loss")) is not float:
        raise InspectionError(f"scores: got {shown(scores)}, expected a loss and metrics")
    for name, value in scores.items():
        for number in flat(value):
            check_number(f"scores: {shown(name)}", number, *bounds(name))


def flat(value: Any) -> list[Any]:
    """Return the numbers of a metric: one, or one a class; none where it became no number."""
    if isinstance(value, list):
        return [number for part in value for number in flat(part)]
    return [] if value is None else [value]


def makes_final(lane: int) -> bool:
    """Return whether an evaluating lane makes the model's file: lane 0 leaves it, lane 1 is its witness."""
    return lane < 2


def document(run: Run, key: str, size: int) -> Any:
    """Return a trainer's small document."""
    if size > DOCUMENT_LIMIT:
        raise InspectionError(f"{key}: got {size} bytes, expected at most {DOCUMENT_LIMIT}")
    try:
        return json.loads(run.objects.read(run.at(key)))
    except (ValueError, RecursionError) as error:
        raise InspectionError(f"{key}: got no JSON ({type(error).__name__})") from None


def check_share(found: Any, plan: Plan, lane: int, other: bool = False) -> None:
    """Refuse what a lane says of its share of the held-out set where it is other than planned, or impossible.

    `other`: whether it must have evaluated the last average beside the mean of the last ones.
    """
    first, last = share(plan.held_out, plan.shares, lane)
    check_spent(found)
    check_scores(found.get("scores"))
    check_sums(found.get("sums"), last - first)
    check_counts(found, plan, last - first)
    first, last = plan.validation_share(plan.evaluators, lane)
    check_measured("validation_sums", found.get("validation_sums"), last - first)
    check_measured("other_sums", found.get("other_sums"), last - first if other else 0)
    check_digest("weights_sha256", found.get("weights_sha256"), SHA256)
    if makes_final(lane):
        check_digest("final_md5", found.get("final_md5"), MD5)


def check_counts(found: Mapping[str, Any], plan: Plan, rows: int) -> None:
    """Refuse counts of other than the share's labels; where one lane evaluates all, quotients other than its scores."""
    labels = max(math.prod(one.shape[1:]) for one in plan.train.y)
    least = rows if labels == 1 and len(plan.train.y) == 1 else 1  # Keras counts batches for the loss of each output
    scores, sums = found["scores"], found["sums"]
    if plan.shares > 1 and sums.keys() != scores.keys():
        raise InspectionError(f"sums: got {shown(list(sums))}, expected those of {shown(list(scores))}")
    for name, (total, count) in sums.items():
        if plan.shares > 1:
            check_number(f"sums: {shown(name)}: count", count, least, rows * labels)
        elif isinstance(scores.get(name), float) and count:
            slack = ROUNDING * max(1.0, abs(scores[name]))
            check_number(f"sums: {shown(name)}: mean", total / count, scores[name] - slack, scores[name] + slack)


def check_spent(found: Any) -> None:
    """Refuse seconds and bytes of memory that no activation uses."""
    if not isinstance(found, dict):
        raise InspectionError(f"got {shown(found)}, expected an object")
    check_number("seconds", found.get("seconds"), 0, LONGEST_SECONDS)
    check_number("memory", found.get("memory"), 0, MEMORY_LIMIT)


def check_equal(name: str, value: Any, expected: Any) -> None:
    """Refuse another value, or one of another type."""
    if type(value) is not type(expected) or value != expected:
        raise InspectionError(f"{name}: got {shown(value)}, expected {expected}")


def check_number(name: str, value: Any, low: float, high: float) -> None:
    """Refuse what is no number of low..high; NaN is none."""
    if type(value) not in (int, float) or not low <= value <= high:
        raise InspectionError(f"{name}: got {shown(value)}, expected {low:g}..{high:g}")


def check_digest(name: str, value: Any, form: re.Pattern[str]) -> None:
    """Refuse what is no digest."""
    if not isinstance(value, str) or not form.fullmatch(value):
        raise InspectionError(f"{name}: got {shown(value)}, expected a digest")


def shown(value: Any) -> str:
    """Return a value as text of bounded length."""
    return reprlib.repr(value)
