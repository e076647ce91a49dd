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
from common.split.slices import TRAINING, Slice, read_marks
from common.storage import keys
from common.storage.file import blocks, sha256
from common.storage.run import Run

RESERVE_SECONDS = 30.0  # left of the activation's time: the next upload might not fit

Clock = Callable[[], float]


def split(run: Run, plan: Plan, deadline: float, clock: Clock = time.time) -> bool:
    """Write what the store lacks, in one go; return False when the deadline (epoch seconds) cut it short."""
    started = clock()
    with tempfile.TemporaryDirectory() as folder:
        files, warnings = scatter(run, plan, Path(folder))
        present = {key for part in (keys.SHARDS, *keys.HELD_OUT) for key in run.sizes(part)}
        for key, path in files.items():
            if clock() > deadline - RESERVE_SECONDS:
                return False
            if key not in present:
                run.objects.create_from(run.at(key), blocks(path))
        hashes = {key: sha256(path) for key, path in files.items()}
    finish(run, plan, hashes, warnings, clock() - started)
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


def put_together(run: Run, plan: Plan, slices: Sequence[Slice], began: float, deadline: float, clock: Clock) -> bool:
    """Make shards and sets of all slices' pieces; False when the deadline cut it short. `began`: the first wave."""
    marks = read_marks(run, slices)
    if not pieces.compose(run, plan, marks, deadline, clock):
        return False
    warnings = [text for mark in marks.values() for text in mark.warnings]
    finish(run, plan, pieces.digests(marks.values()), list(dict.fromkeys(warnings)), clock() - began)
    return True


def finish(run: Run, plan: Plan, hashes: dict[str, Any], warnings: list[str], seconds: float) -> None:
    """Say that the split is done: this document is what the rest of the run waits for."""
    if plan.columns.classes:
        run.create_json(keys.CLASSES, plan.columns.classes)
    report = {"counts": plan.counts, "sha256": hashes, "warnings": warnings, "seconds": seconds}
    run.create_json(keys.SPLIT, report)
