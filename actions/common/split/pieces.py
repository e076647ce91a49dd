"""Slices of a large dataset carried out, and their pieces put together in the store; used by the splitter.

Any number of splitters may work on slices at once, or twice: a slice leaves the same pieces whoever writes them.
"""

import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from common.errors import RunError
from common.plan.plan import Plan
from common.split import dealing, sources
from common.split.dealing import Blocks, Deal
from common.split.slices import Mark, Slice, objects, stored
from common.storage import keys
from common.storage.file import blocks, parts, sha256
from common.storage.objects import PART_BYTES, SMALLEST_BYTES, Location, Objects
from common.storage.run import Folder, Run

MARGIN_SECONDS = 30.0  # of the activation's time, beside what the longest slice took

Clock = Callable[[], float]


def carry_out(run: Run, plan: Plan, wanted: Sequence[Slice], deadline: float, clock: Clock = time.time) -> int:
    """Write the pieces of slices, as many as fit before a deadline (epoch seconds); return how many slices."""
    done, longest = 0, 0.0
    for following in adjoining(wanted):
        deal, warnings = sources.deal(run, plan, following[0].dealt)
        streams = dealing.between(deal.rows(following[0].begin), [piece.end for piece in following])
        for piece, rows in zip(following, streams, strict=True):
            began = clock()
            if began + longest > deadline - MARGIN_SECONDS:
                return done
            write(run, plan, piece, deal, rows, warnings)
            done, longest = done + 1, max(longest, clock() - began)
    return done


def adjoining(slices: Sequence[Slice]) -> Iterator[list[Slice]]:
    """Yield together the slices of which each begins where the one before ends: they are read in one go."""
    held: list[Slice] = []
    for piece in slices:
        if held and (piece.dealt, piece.begin) != (held[-1].dealt, held[-1].end):
            yield held
            held = []
        held.append(piece)
    yield held


def write(run: Run, plan: Plan, piece: Slice, deal: Deal, rows: Blocks, warnings: list[str]) -> None:
    """Write the pieces of a slice, and then its mark; RunError where the dataset was replaced meanwhile."""
    began, data = time.time(), plan.data(run.objects)
    with tempfile.TemporaryDirectory() as folder:
        files = dealing.deal_out(deal, rows, Path(folder), piece.begin)
        held = {key: file for key, file in files.items() if file.stat().st_size}
        for key, file in held.items():
            data.objects.create_from(data.at(piece.folder + key), blocks(file))
        left = {key: (file.stat().st_size, sha256(file)) for key, file in held.items()}
    sources.check_all(run, plan)
    mark = Mark(left, warnings, round(time.time() - began, 3))
    data.create_json(piece.mark_key, asdict(mark))


def compose(data: Folder, plan: Plan, marks: Mapping[Slice, Mark], deadline: float, clock: Clock = time.time) -> bool:
    """Put together the objects that the store lacks of all slices' pieces; False when the deadline cut it short."""
    present = stored(data)
    for key, size in objects(plan).items():
        if key in present:
            continue
        if clock() > deadline - MARGIN_SECONDS:
            return False
        held = {data.at(one.folder + key): mark.pieces[key][0] for one, mark in marks.items() if key in mark.pieces}
        if (got := sum(held.values())) != size:
            raise RunError(
                f"{data.called}: the pieces of {key} have {got} bytes, expected {size}: delete {data.prefix}"
            )
        join(data.objects, data.at(key), held)
    return True


def join(objects: Objects, at: Location, pieces: Mapping[Location, int]) -> None:
    """Create an object of pieces `{where: bytes}`; the store copies them, unless it takes some for too small."""
    if all(size >= SMALLEST_BYTES for size in list(pieces.values())[:-1]):
        objects.compose(at, list(pieces))
    else:
        objects.create_from(at, parts(read(objects, pieces), PART_BYTES))


def read(objects: Objects, pieces: Mapping[Location, int]) -> Iterator[bytes]:
    """Yield the bytes of pieces, one after the other."""
    for at, size in pieces.items():
        for first in range(0, size, PART_BYTES):
            yield objects.read(at, first, min(size, first + PART_BYTES))


def digests(marks: Iterable[Mark]) -> dict[str, list[tuple[int, str]]]:
    """Return {key: bytes and sha256 of each of its pieces, in order}."""
    found: dict[str, list[tuple[int, str]]] = {}
    for mark in marks:
        for key, piece in mark.pieces.items():
            found.setdefault(key, []).append(piece)
    return found


def sweep(data: Folder) -> None:
    """Remove what a split that is done has left: pieces, marks and uploads that nobody ended."""
    for at, upload in data.objects.unfinished(data.prefix):
        data.objects.abort(at, upload)
    for key in data.sizes(keys.PIECES):
        data.objects.delete(data.at(key))
