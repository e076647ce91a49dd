"""One lane's round under way: trains from one offered step to the next, saves where it pays, ends in time.

Used by the trainer. Where a slice stops never changes what is trained, so the clock may decide it.
"""

import math
import time
from collections.abc import Callable

from common.errors import ModelError
from common.plan.schedule import Schedule
from common.storage import state
from common.storage.state import Progress, Tensors
from common.training.model import ADVICE, Data, Learner

SAVE_SECONDS = 30  # how much training a killed trainer may lose
MARGIN_SECONDS = 5  # from the planned end to the deadline: the last save and the answer
LIMIT_SECONDS = 2  # before the deadline, an unsaved stretch is given up
SLACK = 1.2  # a busy machine slows down within a slice
PIECE = 64  # steps between two looks at the clock
LINES = 8


class Lane:
    """A learner that stands at `progress` of its round; `now` tells epoch seconds."""

    def __init__(
        self,
        learner: Learner,
        schedule: Schedule,
        progress: Progress,
        micro: int | None,
        now: Callable[[], float] = time.time,
    ) -> None:
        self.learner, self.progress, self.micro, self.now = learner, progress, micro, now
        self.order, self.bounds = schedule.order(progress.round, progress.lane)
        self.total = schedule.steps(progress.round, progress.lane)

    def run(self, data: Data, stops: list[int], deadline: float, save: Callable[[], None]) -> int | None:
        """Train from stop to stop, save where it pays; return the last saved step, None when there is none."""
        saved, saved_at = None, self.now()
        for stop, following in zip(stops, [*stops[1:], math.inf], strict=True):
            step, began = self.progress.step, self.now()
            if not self._advance(data, stop, deadline - LIMIT_SECONDS):
                break
            pace = (self.now() - began) / (stop - step)
            ahead = pace * SLACK * (following - stop)
            end = deadline - MARGIN_SECONDS
            if self.now() - saved_at >= SAVE_SECONDS or self.now() + ahead > end:
                self._note()
                save()
                saved, saved_at = stop, self.now()
            if self.now() + ahead > end:
                break
        return saved

    def _advance(self, data: Data, stop: int, limit: float) -> bool:
        """Train up to a step; False when the limit comes first."""
        while self.progress.step < stop:
            if self.now() > limit:
                return False
            self._train(data, min(self.progress.step + PIECE, stop))
        return True

    def _train(self, data: Data, stop: int) -> None:
        progress, began = self.progress, self.now()
        sums = self.learner.train(data, self.order, self.bounds, progress.step, stop, self.micro)
        self._check_finite(sums, stop)
        for name, (total, count) in sums.items():
            before = progress.sums.get(name, [0.0, 0.0])
            progress.sums[name] = [before[0] + total, before[1] + count]
        for name, count in self.learner.updates().items():
            progress.updates[name] = progress.updates.get(name, 0) + count
        progress.examples += int(self.bounds[stop] - self.bounds[progress.step])
        progress.step = stop
        progress.seconds += self.now() - began

    def _check_finite(self, sums: dict[str, list[float]], stop: int) -> None:
        for name, (total, _) in sums.items():
            if not math.isfinite(total):
                place = f"round {self.progress.round}, lane {self.progress.lane}, steps {self.progress.step}..{stop}"
                raise ModelError(f"{place}: {name} became {total}, expected a finite number; {ADVICE}")

    def _note(self) -> None:
        progress = self.progress
        means = ", ".join(f"{name} {total / count:.4f}" for name, (total, count) in sorted(progress.sums.items()))
        line = f"round {progress.round}, lane {progress.lane}, step {progress.step} of {self.total}: {means}"
        print(line, flush=True)
        lines = [*progress.last_lines.splitlines(), f"{line}, {progress.seconds:.1f} s"]
        progress.last_lines = "\n".join(lines[-LINES:])


def check_weights(tensors: Tensors, progress: Progress) -> None:
    """Refuse a state with weights that cannot be trained on: the next lanes would start from it."""
    for name, tensor in tensors.items():
        if tensor.dtype.kind != "f":
            continue
        most = state.limit(name, progress.rules[name], tensor.dtype)
        if not state.within(tensor, most):
            place = f"round {progress.round}, lane {progress.lane}, step {progress.step}"
            raise ModelError(f"{place}: {name} became NaN or left -{most:.3g}..{most:.3g}; {ADVICE}")
