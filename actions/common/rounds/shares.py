"""The lanes' shares of the evaluation: what each found on its part of the held-out set, and whether it can be believed.

Used by the reducer, which has a share evaluated again that cannot, and by the evaluator.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from common.errors import InspectionError, RunError
from common.plan.plan import Plan
from common.rounds import inspection, rounds, stopping
from common.rounds.stopping import Stop
from common.storage import keys
from common.storage.run import Run

Share = dict[str, Any]  # what a lane left: scores, sums, weights_sha256, final_md5, seconds, memory in bytes
SLACK = 1e-3  # an example between two classes, where lanes' processors differ
BLOCK_BYTES = 1 << 20


def collect(run: Run, plan: Plan) -> list[Share]:
    """Return what the lanes found, lane by lane; RunError when a share is missing, or not as planned."""
    found = rounds.evaluation(run, plan)
    if not found.closed:
        got = sum(found.steps.values())
        raise RunError(f"run {run.name}: got {got} of {plan.evaluators} shares of the held-out set, expected all")
    shares, odd = read(run, plan)
    for lane, reason in odd.items():
        raise RunError(f"run {run.name}: lane {lane} left scores that cannot be: {reason}; invoke dl-pipeline again")
    return list(shares.values())


def sampled(shares: Iterable[Share], sums: str = "validation_sums") -> dict[str, float]:
    """Return what the model gave on the sample that the averages before it were evaluated on; nothing without one."""
    return rounds.together([share[sums] for share in shares if share.get(sums)])


def last(shares: Sequence[Share], stop: Stop) -> dict[str, float]:
    """Return what the last average gave on that sample, where that is known."""
    if stop.final < stop.rounds or stop.last:
        return stop.last or {}
    return sampled(shares, "other_sums" if stop.averaged > 1 else "validation_sums")


def refused(run: Run, plan: Plan) -> dict[int, str]:
    """Return why what a lane found, or the model that lane 0 left, cannot be believed, lane by lane."""
    shares, odd = read(run, plan)
    return odd or differing(plan, shares) or spoiled(run, file(run, plan), shares)


def read(run: Run, plan: Plan) -> tuple[dict[int, Share], dict[int, str]]:
    """Return what each lane found, and why it cannot be believed."""
    stop = stopping.end(run, plan)
    sizes = run.sizes(keys.scores_folder(stop.state))
    other = stop.averaged > 1 and plan.validation is not None
    shares: dict[int, Share] = {}
    odd: dict[int, str] = {}
    for lane in range(plan.evaluators):
        key = keys.scores_key(stop.state, lane)
        try:
            shares[lane] = inspection.document(run, key, sizes[key])
            inspection.check_share(shares[lane], plan, lane, other)
        except InspectionError as error:
            odd[lane] = str(error)
    return shares, odd


def differing(plan: Plan, shares: Mapping[int, Share]) -> dict[int, str]:
    """Return which lanes evaluated another model than most, or found other numbers on the same rows."""
    models = {lane: " ".join([share["weights_sha256"], *sorted(share["scores"])]) for lane, share in shares.items()}
    if odd := inspection.dissenters(models, None):
        return dict.fromkeys(odd, "it evaluated other weights, or by other metrics, than most lanes")
    pair = [shares[lane] for lane in shares if inspection.makes_final(lane)]
    if len({share["final_md5"] for share in pair}) > 1:
        return dict.fromkeys(range(2), "the two lanes that made final.keras made different ones")
    if plan.shares == 1 and not all(alike(pair[0]["scores"], share["scores"]) for share in pair):
        return dict.fromkeys(range(2), "the two lanes that evaluated the whole set found different numbers")
    return {}


def alike(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Return whether two lanes found the same, but for what other processors make of it."""
    return all(
        abs(a - b) <= SLACK * max(1.0, abs(a), abs(b))
        for name in one
        for a, b in zip(inspection.flat(one[name]), inspection.flat(other[name]), strict=True)
    )


def file(run: Run, plan: Plan) -> str:
    """Return the key of the final model's file: of the average's own, until that is known to be the final model."""
    own = keys.final_key(stopping.end(run, plan).state)
    return own if own in run.sizes(own) else keys.FINAL


def spoiled(run: Run, key: str, shares: Mapping[int, Share]) -> dict[int, str]:
    """Return whether the model that lane 0 left is another than it, and its witness, made."""
    if key not in run.sizes(key):
        return {0: "it left no final.keras"}
    at, expected = run.at(key), shares[0]["final_md5"]
    # Most stores give the MD5 of what one request wrote as its etag; where one does not, all is read.
    if run.objects.head(at)[1] == expected or md5(run, key) == expected:
        return {}
    return {0: "final.keras is not the file that it made"}


def md5(run: Run, key: str) -> str:
    """Return an object's MD5, in hexadecimal; it tells another file, and nobody can make one for a given digest."""
    total = hashlib.md5(usedforsecurity=False)
    for block in run.objects.open(run.at(key)).iter_chunks(BLOCK_BYTES):
        total.update(block)
    return total.hexdigest()
