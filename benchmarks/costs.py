"""What a measurement cost by the platform's own records: GB-seconds, activations, waves; used by benchmarks.measure."""

import statistics
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

MB_A_GB = 1024
COUNTED = {"single": 768}  # MB; it needs 739, and its limit is higher only because the quota's step is

Record = Mapping[str, Any]


def annotation(record: Record, name: str) -> Any:
    """Return an annotation's value, None where it lacks."""
    return next((pair["value"] for pair in record["annotations"] if pair["key"] == name), None)


def ran(records: Iterable[Record]) -> list[Record]:
    """Return the activations that held a container: a sequence's or composition's own record only sums its parts."""
    return [record for record in records if annotation(record, "kind") not in (None, "sequence")]


def gb_seconds(records: Iterable[Record]) -> float:
    """Return memory limit x duration of all containers' activations."""
    return float(sum(memory(record) / MB_A_GB * record["duration"] / 1000 for record in ran(records)))


def memory(record: Record) -> int:
    """Return what an activation is counted at, in MB."""
    return COUNTED.get(record["name"]) or int(annotation(record, "limits")["memory"])


def wave_overheads(records: Iterable[Record]) -> list[float]:
    """Return, for each wave but the last, the seconds from its start to the next one's, less its longest trainer's.

    That is dispatch, join, average and publication. A wave starts when its first trainer is handed to the platform.
    """
    trainers = [record for record in records if record["name"] == "trainer"]
    waves: dict[int, list[Record]] = {}
    for record in trainers:
        waves.setdefault(record["response"]["result"].get("wave", -1), []).append(record)
    ordered = [waves[number] for number in sorted(waves) if number >= 0]
    starts = [min(map(handed, wave)) for wave in ordered]
    longest = [max(record["duration"] for record in wave) for wave in ordered]
    return [(after - start - took) / 1000 for start, after, took in zip(starts, starts[1:], longest, strict=False)]


def handed(record: Record) -> int:
    """Return when an activation was accepted, in epoch milliseconds."""
    return int(record["start"] - (annotation(record, "waitTime") or 0))


def first_steps(records: Iterable[Record]) -> list[float]:
    """Return the seconds from a cold trainer's invocation until its graph is traced, less the trace: of the warm-up."""
    return [ready(record) - trace for record, trace in told(records, "trace_seconds")]


def ready(record: Record) -> float:
    """Return the seconds from the invocation to the end: wait, start, run."""
    return float((record["start"] + record["duration"] - handed(record)) / 1000)


def warm_steps(records: Iterable[Record]) -> list[float]:
    """Return the seconds from a warm trainer's invocation to its first step."""
    started = told((record for record in records if annotation(record, "initTime") is None), "start_seconds")
    return [(record["start"] - handed(record)) / 1000 + seconds for record, seconds in started]


def told(records: Iterable[Record], what: str) -> list[tuple[Record, float]]:
    """Return the trainers that say so much of themselves, with what they say."""
    trainers = [(record, record["response"]["result"]) for record in records if record["name"] == "trainer"]
    return [(record, result[what]) for record, result in trainers if what in result]


def summary(records: Sequence[Record]) -> dict[str, Any]:
    """Return everything that a measurement keeps of its records."""
    medians = {"wave_overhead": wave_overheads, "first_step": first_steps, "warm_step": warm_steps}
    return {
        "gb_seconds": round(gb_seconds(records), 3),
        "activations": len(ran(records)),
        **{name: median(measure(records)) for name, measure in medians.items()},
    }


def median(each: Sequence[float]) -> float | None:
    """Return the middle, None of nothing."""
    return round(statistics.median(each), 3) if each else None
