"""A wave of splitters: its document, and what the join that waits for it is told; used by splitter and reducer."""

from dataclasses import dataclass

from common.plan.plan import Plan
from common.split.slices import cut, is_done, missing
from common.storage import keys
from common.storage.run import Run

NAME = "split-"  # begins what the join calls such a wave


@dataclass(frozen=True)
class Wave:
    """One parallel map over splitters: a document of the run."""

    number: int
    driver: str
    issued: float  # epoch seconds
    deadline: float
    slices: tuple[tuple[int, ...], ...]  # of each splitter, by their numbers in the cut


def earlier(run: Run) -> list[Wave]:
    """Return the waves of a run's split so far."""
    return [wave for number in range(len(run.sizes(keys.SPLIT_WAVES))) if (wave := find(run, number))]


def find(run: Run, number: int) -> Wave | None:
    """Return a wave's document, None where there is none."""
    held = run.find_json(keys.split_wave_key(number))
    return held and Wave(**{**held, "slices": tuple(map(tuple, held["slices"]))})


def look(run: Run, plan: Plan, name: str) -> bool:
    """Tell the join of a wave of splitters whether its pieces are all in the store."""
    wave = find(run, int(name.removeprefix(NAME)))
    slices = cut(plan)
    wanted = [slices[number] for share in wave.slices for number in share] if wave else []
    return wave is not None and (is_done(run) or not missing(plan.data(run.objects), wanted))
