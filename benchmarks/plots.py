"""The result's pictures; used by benchmarks.run."""

import statistics
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("svg")

from matplotlib import pyplot

from benchmarks.tables import Measurements, values

SCALING = {1: "ours, K = 1", 2: "ours, K = 2", 4: "ours, 4 epochs", 8: "ours, K = 8"}


def draw(known: Measurements, folder: Path) -> list[Path]:
    """Draw whatever the measurements allow; return the files."""
    mpl.rcParams["svg.hashsalt"] = "openwhisk-dl"  # the same measurements, the same bytes
    drawn = [
        accuracy_over_time(known, folder / "accuracy.svg"),
        scaling(known, folder / "workers.svg"),
        bars(known, folder / "memory.svg", "memory", 1 << 20, "peak private MB of a function"),
        bars(known, folder / "gb-seconds.svg", "gb_seconds", 1, "GB-seconds"),
    ]
    return [path for path in drawn if path]


def accuracy_over_time(known: Measurements, path: Path) -> Path | None:
    """Draw the curve of each case that has some: its first pair's."""
    curves = {case: first(pairs)["points"] for case, pairs in known.items() if first(pairs).get("points")}
    if not curves:
        return None
    figure, axes = pyplot.subplots(figsize=(7, 4))
    for case, points in curves.items():
        axes.plot([p["at"] for p in points], [100 * p["accuracy"] for p in points], marker=".", label=case)
    axes.set(xlabel="seconds since the invocation", ylabel="test accuracy, %")
    axes.legend()
    return saved(figure, path)


def scaling(known: Measurements, path: Path) -> Path | None:
    """Draw the time of one to eight trainers, with the ideal beside it."""
    found = {k: list(values(known, case, "seconds").values()) for k, case in SCALING.items()}
    medians = {k: statistics.median(each) for k, each in found.items() if each}
    if len(medians) < 2 or 1 not in medians:
        return None
    figure, axes = pyplot.subplots(figsize=(7, 4))
    axes.plot(list(medians), list(medians.values()), marker="o", label="measured")
    axes.plot(list(medians), [medians[1] / k for k in medians], linestyle="--", label="ideal")
    axes.set(xlabel="trainers", ylabel="seconds", ylim=(0, None))
    axes.legend()
    return saved(figure, path)


def bars(known: Measurements, path: Path, what: str, unit: float, label: str) -> Path | None:
    """Draw a quantity's median of each case."""
    found = {case: list(values(known, case, what).values()) for case in known}
    medians = {case: statistics.median(each) / unit for case, each in found.items() if each}
    if not medians:
        return None
    figure, axes = pyplot.subplots(figsize=(7, 0.5 + 0.4 * len(medians)))
    axes.barh(list(medians), list(medians.values()))
    axes.invert_yaxis()
    axes.set(xlabel=label)
    return saved(figure, path)


def first(pairs: Any) -> Any:
    """Return the measurement with the least number."""
    return pairs[min(pairs)]


def saved(figure: Any, path: Path) -> Path:
    """Write a figure and forget it."""
    figure.savefig(path, bbox_inches="tight", metadata={"Date": None})
    pyplot.close(figure)
    return path
