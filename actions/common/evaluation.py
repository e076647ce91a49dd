"""The evaluation's result: what the lanes found on their shares of the held-out set, as one.

Used by the evaluator, and by the reducer, which has a share judged again that cannot be believed.
"""

import hashlib
import math
from collections.abc import Mapping, Sequence
from typing import Any

from common import inspection, rounds
from common import run as keys
from common.errors import InspectionError, RunError
from common.plan import Plan, evaluators
from common.run import Run

Share = dict[str, Any]  # what a lane left: scores, sums, weights_sha256, final_md5, seconds, memory in bytes
SLACK = 1e-3  # an example between two classes, where lanes' processors differ
BLOCK_BYTES = 1 << 20


def told(this: Run, plan: Plan) -> list[Share]:
    """Return what the lanes found, lane by lane; RunError when some have not judged their share, or not as planned."""
    found = rounds.evaluation(this, plan)
    if not found.closed:
        got = sum(found.steps.values())
        raise RunError(f"run {this.name}: got {got} of {evaluators(plan)} shares of the held-out set, expected all")
    shares, odd = read(this, plan)
    for lane, reason in odd.items():
        raise RunError(f"run {this.name}: lane {lane} left scores that cannot be: {reason}; invoke dl-pipeline again")
    return list(shares.values())


def refused(this: Run, plan: Plan) -> dict[int, str]:
    """Return why what a lane found, or the model that lane 0 left, cannot be believed, lane by lane."""
    shares, odd = read(this, plan)
    return odd or differing(plan, shares) or spoiled(this, shares)


def read(this: Run, plan: Plan) -> tuple[dict[int, Share], dict[int, str]]:
    """Return what each lane found, and why it cannot be believed."""
    sizes = this.sizes(keys.SCORES)
    shares: dict[int, Share] = {}
    odd: dict[int, str] = {}
    for lane in range(evaluators(plan)):
        key = keys.scores_key(lane)
        try:
            shares[lane] = inspection.document(this, key, sizes[key])
            inspection.check_share(shares[lane], plan, lane)
        except InspectionError as error:
            odd[lane] = str(error)
    return shares, odd


def differing(plan: Plan, shares: Mapping[int, Share]) -> dict[int, str]:
    """Return which lanes judged another model than most, or found other numbers on the same rows."""
    models = {lane: " ".join([share["weights_sha256"], *sorted(share["scores"])]) for lane, share in shares.items()}
    if odd := inspection.dissenters(models, None):
        return dict.fromkeys(odd, "it judged other weights, or by other metrics, than most lanes")
    pair = [shares[lane] for lane in shares if inspection.makes_final(lane)]
    if len({share["final_md5"] for share in pair}) > 1:
        return dict.fromkeys(range(2), "the two lanes that made final.keras made different ones")
    if plan["judges"] == 1 and not all(alike(pair[0]["scores"], share["scores"]) for share in pair):
        return dict.fromkeys(range(2), "the two lanes that judged the whole set found different numbers")
    return {}


def alike(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Return whether two lanes found the same, but for what other processors make of it."""
    return all(
        abs(a - b) <= SLACK * max(1.0, abs(a), abs(b))
        for name in one
        for a, b in zip(inspection.flat(one[name]), inspection.flat(other[name]), strict=True)
    )


def spoiled(this: Run, shares: Mapping[int, Share]) -> dict[int, str]:
    """Return whether the model that lane 0 left is another than it, and its witness, made."""
    if keys.FINAL not in this.sizes(keys.FINAL):
        return {0: "it left no final.keras"}
    at, expected = this.at(keys.FINAL), shares[0]["final_md5"]
    # Most stores give the MD5 of what one request wrote as its etag; where one does not, all is read.
    if this.objects.head(at)[1] == expected or md5(this, keys.FINAL) == expected:
        return {}
    return {0: "final.keras is not the file that it made"}


def md5(this: Run, key: str) -> str:
    """Return an object's MD5, in hexadecimal; it tells another file, and nobody can make one for a given digest."""
    total = hashlib.md5(usedforsecurity=False)
    for block in this.objects.open(this.at(key)).iter_chunks(BLOCK_BYTES):
        total.update(block)
    return total.hexdigest()


def merged(plan: Plan, shares: Sequence[Share]) -> dict[str, Any]:
    """Return loss and metrics of the whole set: totals over counts; of a lane that judged it all, what it found."""
    if plan["judges"] == 1:
        return dict(shares[0]["scores"])
    return {name: mean([share["sums"][name] for share in shares]) for name in shares[0]["scores"]}


def mean(sums: Sequence[Sequence[float]]) -> float | None:
    """Return the quotient of totals and counts, None where it is no finite number."""
    found = sum(total for total, _ in sums) / sum(count for _, count in sums)
    return found if math.isfinite(found) else None
