"""The weighted average of the lanes' model states, streamed by ranges; used by the reducer.

Memory does not grow with the model: one chunk of one tensor is summed at a time, in float64, and of each lane no more
is held than what is read ahead. What happens to a tensor is said by its rule in the state's metadata (state.py).
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from common.errors import InspectionError, RunError
from common.storage import state
from common.storage.state import Entry

CHUNK = 1 << 16  # elements: half a megabyte of float64, which a processor's cache holds
AHEAD = 1 << 18  # bytes of a lane read ahead: few reads for many small tensors
HEADER = 1 << 16  # bytes: most headers fit, one read instead of two
TABLES = "weight."  # how the names of layers' tensors begin that no gradient changes
OPTIMIZER = "optimizer."  # how the names of the optimizer's tensors begin

Read = Callable[[int, int], bytes]  # begin, end -> those bytes of the file
Chunk = NDArray[Any]


class Lane:
    """A model state read by ranges, `ahead` bytes at a time at least: its tensors lie in the order of their use."""

    def __init__(self, read: Read, ahead: int) -> None:
        self._read, self._ahead = read, ahead
        self._begin, self._held = 0, read(0, ahead)
        if len(self._held) < state.header_size(self._held):
            self._held = read(0, state.header_size(self._held))
        self.tensors, self.metadata = state.read_header(self._held)

    @cached_property  # its rules name every tensor, and a round asks a dozen times
    def progress(self) -> state.Progress:
        """Return what the lane measured of itself."""
        return state.Progress.unpack(self.metadata)

    def chunk(self, name: str, first: int, last: int) -> Chunk:
        """Return elements first..last of a tensor, flat."""
        entry = self.tensors[name]
        size = entry.dtype.itemsize
        data = self._span(entry.begin + first * size, entry.begin + last * size)
        if len(data) < (last - first) * size:
            raise RunError(f"state: got a file that ends within {name}, expected it up to byte {entry.end}")
        return np.frombuffer(data, entry.dtype)

    def _span(self, begin: int, end: int) -> memoryview:
        if begin < self._begin:  # a variance looks back at its mean: not worth losing what was read ahead
            return memoryview(self._read(begin, end))
        if end > (held := self._begin + len(self._held)):
            rest = self._held[begin - self._begin :]
            after = max(begin, held)
            self._begin, self._held = begin, rest + self._read(after, max(end, after + self._ahead))
        return memoryview(self._held)[begin - self._begin : end - self._begin]


def check(lanes: Sequence[Lane], weights: Sequence[float]) -> None:
    """Refuse lanes that cannot be averaged: other tensors, or no weight at all."""
    if not lanes or len(weights) != len(lanes):
        raise RunError(f"average: got {len(lanes)} lanes and {len(weights)} weights, expected one weight a lane")
    if min(weights) < 0 or not np.isfinite(sum(weights)) or sum(weights) <= 0:
        raise RunError(f"average: got the weights {list(weights)}, expected none below 0 and a sum above 0")
    first = shapes(lanes[0].tensors)
    for number, lane in enumerate(lanes):
        if shapes(lane.tensors) != first:
            raise RunError(f"average: lane {number} got other tensors than lane 0, expected the same")


def shapes(tensors: Mapping[str, Entry]) -> dict[str, tuple[str, tuple[int, ...]]]:
    """Return {name: (dtype, shape)}."""
    return {name: (entry.dtype.str, entry.shape) for name, entry in tensors.items()}


def averaged(lanes: Sequence[Lane], weights: Sequence[float], rule: str, name: str, first: int, last: int) -> Chunk:
    """Return elements first..last of a tensor's average in float64, or lane 0's own for the rule `keep`."""
    if rule == state.KEEP:
        return lanes[0].chunk(name, first, last)
    values = (lane.chunk(name, first, last) for lane in lanes)
    if rule.startswith(state.MOMENTS_VARIANCE):  # of batch norm: as long as the layer has channels, so lists do
        partner = rule.removeprefix(state.MOMENTS_VARIANCE)
        return total_variance(list(values), [lane.chunk(partner, first, last) for lane in lanes], weights)
    return mean(values, weights)


def check_alike(lanes: Sequence[Lane], kept: Chunk, name: str, first: int, last: int) -> None:
    """Refuse whole numbers of a layer in which lanes differ: they have no average, and lane 0's are not the others'."""
    for number, lane in enumerate(lanes[1:], 1):
        if not np.array_equal(lane.chunk(name, first, last), kept):
            raise RunError(f"{name}: lane {number} got other whole numbers than lane 0, expected the same in all lanes")


def mean(values: Iterable[Chunk], weights: Sequence[float]) -> Chunk:
    """Return sum(w x) / sum(w): divided last, so that one lane gives itself back exactly."""
    total: Chunk = np.zeros(1)
    for value, weight in zip(values, weights, strict=True):
        term = np.multiply(value, weight, dtype=np.float64)
        total = np.add(total, term, out=term)
    return np.divide(total, sum(weights), out=total)


def total_variance(variances: Sequence[Chunk], means: Sequence[Chunk], weights: Sequence[float]) -> Chunk:
    """Return the variance of the lanes' samples together: mean of variances + variance of means."""
    centre = mean(means, weights)
    spread = [v + (m.astype(np.float64) - centre) ** 2 for v, m in zip(variances, means, strict=True)]
    return mean(spread, weights)


@dataclass(frozen=True)
class Moving:
    """The moving averages of a round, brought forward by the updates of all its lanes (docs/decisions/0012).

    A lane's value is m_k = d^s_k m_0 + (1 - d^s_k) e_k after s_k updates of decay d from the start m_0. The average is
    d^U m_0 + (1 - d^U) e: U the sum of s_k, e the weighted mean of what the lanes saw, or its law of total variance.
    """

    start: Lane
    decays: Mapping[str, float]
    lanes: Sequence[Lane]
    weights: Sequence[float]
    updates: Sequence[Mapping[str, int]]  # one mapping a lane

    @classmethod
    def of(cls, start: Lane, lanes: Sequence[Lane], weights: Sequence[float]) -> "Moving":
        """Return what the lanes' metadata say of their moving averages."""
        standings = [lane.progress for lane in lanes]
        return cls(start, standings[0].decays, lanes, weights, [progress.updates for progress in standings])

    def moves(self, name: str) -> bool:
        """Return whether a tensor was moved: not where its layer is frozen, saw no batch, or keeps all (decay 1)."""
        weighs = any(self.weights[k] for k in self._movers(name))
        return self.decays.get(name, 1.0) < 1 and weighs

    def forward(self, rule: str, name: str, first: int, last: int) -> Chunk:
        """Return elements first..last in float64."""
        weights = [self.weights[k] for k in self._movers(name)]
        seen = self._seen(name, first, last)
        if rule.startswith(state.MOMENTS_VARIANCE):
            means = self._seen(rule.removeprefix(state.MOMENTS_VARIANCE), first, last)
            together = np.maximum(total_variance(seen, means, weights), 0)  # below 0 by rounding alone
        else:
            together = mean(seen, weights)
        kept = self.decays[name] ** sum(self.updates[k][name] for k in self._movers(name))
        return np.asarray(kept * self._begin(name, first, last) + (1 - kept) * together)

    def _seen(self, name: str, first: int, last: int) -> list[Chunk]:
        begin = self._begin(name, first, last)
        kept = {k: self.decays[name] ** self.updates[k][name] for k in self._movers(name)}
        return [(self.lanes[k].chunk(name, first, last) - kept[k] * begin) / (1 - kept[k]) for k in kept]

    def _begin(self, name: str, first: int, last: int) -> Chunk:
        return self.start.chunk(name, first, last).astype(np.float64)

    def _movers(self, name: str) -> list[int]:
        return [k for k, updates in enumerate(self.updates) if updates.get(name, 0) > 0]


def spans(entry: Entry) -> Iterator[tuple[int, int]]:
    """Yield (first, last) of a tensor's chunks."""
    count = (entry.end - entry.begin) // entry.dtype.itemsize
    for first in range(0, count, CHUNK):
        yield first, min(first + CHUNK, count)


def trainable(name: str) -> bool:
    """Return whether the outer momentum moves a tensor."""
    return name.startswith("trainable.")


@dataclass(frozen=True)
class Outer:
    """The outer momentum of a round: v = momentum v + (average - start), next start = start + v.

    A start less the one before it is the velocity v that led there, so none is kept: next start = average + momentum v.
    """

    momentum: float
    start: Lane  # what this round's lanes started from
    before: Lane  # what those of the round before started from

    def push(self, name: str, first: int, last: int) -> Chunk:
        """Return what is added to elements first..last of a trainable tensor's average."""
        start, before = (lane.chunk(name, first, last).astype(np.float64) for lane in (self.start, self.before))
        return self.momentum * (start - before)


def merged(
    lanes: Sequence[Lane],
    weights: Sequence[float],
    metadata: dict[str, str],
    outer: Outer | None = None,
    fresh: Lane | None = None,
    moving: Moving | None = None,
    rules: Mapping[str, str] | None = None,
) -> Iterator[bytes]:
    """Yield the file of the next round's start: the average, moved on by an outer momentum if there is one.

    The optimizer's state is that of `fresh`, where there is one, instead of the lanes'. `rules` are those of the first
    lane, where it says none.
    """
    others = [*([outer.start, outer.before] if outer else []), *([fresh] if fresh else [])]
    others += [moving.start] if moving else []
    check([*lanes, *others], [*weights, *[0.0] * len(others)])
    peers = rules is None
    rules = rules or lanes[0].progress.rules
    head = state.write_header(lanes[0].tensors, metadata)
    yield head
    for name, entry in state.read_header(head)[0].items():
        for first, last in spans(entry):
            if fresh and name.startswith(OPTIMIZER):
                value = fresh.chunk(name, first, last)
            elif moving and moving.moves(name):
                value = moving.forward(rules[name], name, first, last)
            else:
                value = averaged(lanes, weights, rules[name], name, first, last)
                if peers and rules[name] == state.KEEP and name.startswith(TABLES):
                    check_alike(lanes, value, name, first, last)
            if outer and trainable(name):
                value = value + outer.push(name, first, last)
            yield rounded(value, entry, name).tobytes()


def rounded(value: Chunk, entry: Entry, name: str) -> Chunk:
    """Return numbers in their tensor's type; InspectionError where that cannot hold them."""
    with np.errstate(over="ignore"):
        found = value.astype(entry.dtype)
    if entry.dtype.kind == "f" and not state.within(found, float(np.finfo(entry.dtype).max)):
        raise InspectionError(f"{name}: the lanes' average is beyond {entry.dtype.name}, expected finite numbers")
    return found
