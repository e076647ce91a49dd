"""The split, carried out: streams the dataset once, checks every value, leaves shards and held-out sets in the store.

Used by the splitter. Memory is bounded by a chunk of rows, the disk by a slice. May run twice or be cut off anywhere:
the same plan writes the same objects, in one go or in slices.
"""

import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from common.plan.plan import Plan
from common.split import dealing, pieces, sources
from common.split import wave as waves
from common.split.slices import TRAINING, Slice, read_marks, stored
from common.storage import keys
from common.storage.file import blocks, sha256
from common.storage.run import SPLIT_KEYS, Run

RESERVE_SECONDS = 30.0  # left of the activation's time: the next upload might not fit

Clock = Callable[[], float]


def split(run: Run, plan: Plan, deadline: float, clock: Clock = time.time) -> bool:
    """Write what the store lacks, in one go; return False when the deadline (epoch seconds) cut it short."""
    started, data = clock(), plan.data(run.objects)
    with tempfile.TemporaryDirectory() as folder:
        files, warnings = scatter(run, plan, Path(folder))
        present = stored(data)
        for key, path in files.items():
            if clock() > deadline - RESERVE_SECONDS:
                return False
            if key not in present:
                data.objects.create_from(data.at(key), blocks(path))
        hashes = {key: sha256(path) for key, path in files.items()}
    seconds = clock() - started
    finish(
        run, plan, {"sha256": hashes, "warnings": warnings, "activations": 1, "activation_seconds": seconds}, seconds
    )
    return True


def scatter(run: Run, plan: Plan, folder: Path) -> tuple[dict[str, Path], list[str]]:
    """Write every shard and set as .npy files into a folder; return {key: file} and warnings.

    RunError for a dataset that was replaced, even while it was read.
    """
    files: dict[str, Path] = {}
    warnings: list[str] = []
    for name in (TRAINING, *(one.name for one in plan.held if one.pair)):
        deal, found = sources.deal(run, plan, name)
        files |= dealing.deal_out(deal, deal.rows(0), folder)
        warnings += found
    sources.check_all(run, plan)
    return files, warnings


def put_together(run: Run, plan: Plan, slices: Sequence[Slice], deadline: float, clock: Clock) -> bool:
    """Make shards and sets of all slices' pieces; False when the deadline cut it short."""
    data, started, earlier = plan.data(run.objects), clock(), waves.earlier(run)
    marks = read_marks(data, slices)
    if not pieces.compose(data, plan, marks, deadline, clock):
        return False
    report = {
        "sha256": pieces.digests(marks.values()),
        "warnings": list(dict.fromkeys(text for mark in marks.values() for text in mark.warnings)),
        "activations": 1 + len(earlier) + sum(len(wave.slices) for wave in earlier),
        "activation_seconds": sum(mark.seconds for mark in marks.values()) + clock() - started,
    }
    finish(run, plan, report, clock() - min((wave.issued for wave in earlier), default=started))
    return True


def finish(run: Run, plan: Plan, report: dict[str, Any], seconds: float) -> None:
    """Say that the split is done, and by which run."""
    data = plan.data(run.objects)
    data.create_json(keys.SPLIT, {"run": run.name, "counts": plan.counts, **report, "seconds": seconds})
    take_over(run, plan)


def take_over(run: Run, plan: Plan) -> None:
    """Let a run go on with a split that is done: this document of the run is what the rest of it waits for."""
    if classes := plan.columns.class_names():
        run.create_json(keys.CLASSES, classes)
    found = plan.data(run.objects).find_whole(keys.SPLIT, SPLIT_KEYS) or {}
    free = {"seconds": 0.0, "activations": 1, "activation_seconds": 0.0}
    run.create_json(keys.SPLIT, found if found.get("run") == run.name else {**found, **free})
