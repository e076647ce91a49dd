"""The table of faults by kind: how many ended, with the same weights, by themselves, after how much longer."""

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

Line = Mapping[str, Any]  # of faults.jsonl: kind, run, hit, same, by_hand, extra (seconds)


def row(kind: str, lines: Sequence[Line]) -> str:
    """Return one line of the table."""
    extra = [line["extra"] for line in lines]
    same, by_hand = sum(line["same"] for line in lines), sum(line["by_hand"] > 0 for line in lines)
    return f"| {kind} | {len(lines)} | {same} | {by_hand} | {statistics.median(extra):.1f} | {max(extra):.1f} |"


def markdown(lines: Sequence[Line], facts: Mapping[str, Any]) -> str:
    """Return the page; faults that came too late for their run are left out, and counted."""
    hit = [line for line in lines if line["hit"]]
    kinds = dict.fromkeys(line["kind"] for line in hit)
    others = [line for line in hit if not line["kills_platform"]]
    about = ", ".join(f"{name} {value}" for name, value in facts.items())
    return "\n".join([
        "# Faults",
        "",
        f"{about}.",
        "",
        "One fault a run of `dl-pipeline`: four lanes, four rounds of digits, throttles raised. *The same*: the",
        "weights' sha256 is that of the undisturbed run. *By hand*: the command was repeated. Extra seconds: beyond",
        f"the undisturbed run's median. {len(lines) - len(hit)} faults came too late and are not counted.",
        "",
        "| fault | runs | the same | by hand | extra seconds, median | worst |",
        "|---|---|---|---|---|---|",
        *(row(kind, [line for line in hit if line["kind"] == kind]) for kind in kinds),
        *([row("all but the platform's own kill", others)] if others else []),
        "",
    ])  # fmt: skip
