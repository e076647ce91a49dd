"""The result's table: medians, spreads and goals from the measurements; used by benchmarks.run."""

import os
import platform
import statistics
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from typing import Any

import images
from benchmarks.cases import QUOTA, Case, Row
from common.training import processor

ONEDNN = "TF_ENABLE_ONEDNN_OPTS"  # where it is not set, the processor decides
PACKAGES = ("tensorflow-cpu", "keras", "numpy")
Measurements = Mapping[str, Mapping[int, Mapping[str, Any]]]  # case -> pair -> measurement


def values(known: Measurements, case: str, what: str) -> dict[int, float]:
    """Return a quantity of a case, by pair; measurements that failed have none."""
    return {pair: found[what] for pair, found in known.get(case, {}).items() if found.get(what) is not None}


def judged(row: Row, known: Measurements) -> dict[str, Any]:
    """Return a row with what was measured; value None while nothing was."""
    ours = values(known, row.ours, row.what)
    other = values(known, row.other, row.what) if row.other else {}
    pairs = sorted(ours.keys() & other.keys()) if row.other else sorted(ours)
    base = {"title": row.title, "ours": row.ours, "other": row.other, "goal": row.goal, "pairs": len(pairs)}
    if not pairs:
        return {**base, "value": None, "spread": None, "met": None}
    if row.difference:
        each = [ours[pair] - other[pair] for pair in pairs]
        value = statistics.mean(each)
    else:
        each = [ours[pair] / other[pair] if row.other else ours[pair] for pair in pairs]
        value = statistics.median(each)
    met = None if row.goal is None else value >= row.goal if row.least else value <= row.goal
    return {**base, "value": round(value, 4), "spread": [round(min(each), 4), round(max(each), 4)], "met": met}


def machine() -> dict[str, Any]:
    """Return where it was measured, and with what."""
    return {
        "processor": processor.present(),
        "cores": os.cpu_count(),
        "system": platform.platform(),
        "python": platform.python_version(),
        **{name: version(name) for name in PACKAGES},
    }


def environment() -> dict[str, str]:
    """Return what of the image's environment decides how fast TensorFlow is; noted with every measurement."""
    return {ONEDNN: images.environments()["dl-tensorflow"][ONEDNN]}


def markdown(facts: Mapping[str, Any], rows: Sequence[Mapping[str, Any]], cases: Sequence[Case], known: Any) -> str:
    """Return the page."""
    about = ", ".join(f"{name} {value}" for name, value in facts.items())
    lines = [
        "# Measurements",
        "",
        f"{about}. Quota of a container with TensorFlow: {QUOTA} CPU unless the case says none. Ratios are medians of",
        "interleaved pairs (differences: means), from invocation to evaluated model; the spread is from least to most.",
        "",
        "| | value | spread | goal | pairs | met |",
        "|---|---|---|---|---|---|",
        *(line(row) for row in rows),
        "",
        "| case | seconds | accuracy | peak MB of a function | GB-seconds | activations | failures | oneDNN |",
        "|---|---|---|---|---|---|---|---|",
        *(case_line(case, known) for case in cases),
        "",
    ]
    return "\n".join(lines)


def line(row: Mapping[str, Any]) -> str:
    """Return a row of the first table."""
    goal = "" if row["goal"] is None else row["goal"]
    if row["value"] is None:
        return f"| {row['title']} | not measured | | {goal} | 0 | |"
    low, high = row["spread"]
    met = {None: "", True: "yes", False: "no"}[row["met"]]
    return f"| {row['title']} | {row['value']} | {low} .. {high} | {goal} | {row['pairs']} | {met} |"


def case_line(case: Case, known: Measurements) -> str:
    """Return a row of the second table: medians."""
    kinds = ("seconds", "accuracy", "memory", "gb_seconds", "activations", "failures")
    found = {what: list(values(known, case.name, what).values()) for what in kinds}
    medians = {what: statistics.median(each) if each else None for what, each in found.items()}
    if medians["memory"] is not None:
        medians["memory"] = round(medians["memory"] / (1 << 20))
    shown = ("-" if value is None else f"{value:g}" for value in medians.values())
    onednn = {str(one.get(ONEDNN, "processor's default")) for one in known.get(case.name, {}).values()}
    return f"| {case.name} | {' | '.join(shown)} | {', '.join(sorted(onednn))} |"
