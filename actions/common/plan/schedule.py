"""The schedule of a run: which examples each lane trains on, in which order, in which round.

Pure arithmetic over the plan's numbers, so that the reducer (which counts steps and offers save steps) and the trainer
(which needs the order itself) agree without talking to each other.
"""

import numpy as np
from numpy.typing import NDArray

from common.errors import ParameterError

# A round offers at most this many save units; the doubling in `stops` keeps the presigned URLs of a slice at 9 or less.
SAVE_UNITS = 256
EVALUATION_BATCH = 32  # as Model.evaluate's default, so that even its rounding is the same
EXAMPLES_A_VALIDATION = 5  # trained on for each that is evaluated at a round's start
SAMPLE = 2  # stream of the seed, apart from the split and the shuffles
SHARE = 32 * EVALUATION_BATCH  # held-out examples: a smaller share costs more to hand out than to evaluate


class Schedule:
    """Steps, examples and order of every lane of every round of one run."""

    def __init__(self, workers: int, epochs: int, rounds: int, batch: int, seed: int, counts: list[int]) -> None:
        if rounds % epochs and epochs % rounds:
            raise ParameterError(f"rounds: got {rounds}, expected a multiple or a divisor of epochs ({epochs})")
        if len(counts) != workers:
            raise ParameterError(f"counts: got {len(counts)} shards, expected one a worker ({workers})")
        self.workers, self.epochs, self.rounds = workers, epochs, rounds
        self.batch, self.seed, self.counts = batch, seed, list(counts)
        self.parts = max(1, rounds // epochs)  # rounds a pass
        self.whole = max(1, epochs // rounds)  # passes a round
        fewest = min(self._batches(shard) for shard in range(workers))
        if self.parts > fewest:
            raise ParameterError(
                f"rounds: got {rounds} ({self.parts} a pass), expected at most one a batch: "
                f"{epochs * fewest} for {epochs} epochs of {fewest} batches of {batch}"
            )

    def shard(self, round_: int, lane: int) -> int:
        """Index of the shard the lane trains on: lanes rotate over the shards from pass to pass."""
        self._check(round_, lane)
        return (lane + (round_ // self.parts)) % self.workers

    def passes(self, round_: int, lane: int) -> list[tuple[int, int, int]]:
        """The round's parts of passes as (epoch, first batch, batch after the last)."""
        batches = self._batches(self.shard(round_, lane))
        epoch, part = (round_ // self.parts) * self.whole, round_ % self.parts
        first, last = part * batches // self.parts, (part + 1) * batches // self.parts
        return [(epoch + i, first, last) for i in range(self.whole)]

    def steps(self, round_: int, lane: int) -> int:
        """Batches of the lane's round."""
        return sum(last - first for _, first, last in self.passes(round_, lane))

    def examples(self, round_: int, lane: int, step: int | None = None) -> int:
        """Examples of the lane's round, or of its first steps; an example of two passes is counted twice."""
        count, left, found = self.counts[self.shard(round_, lane)], step, 0
        for _, first, last in self.passes(round_, lane):
            end = last if left is None else min(last, first + left)
            found += min(end * self.batch, count) - first * self.batch
            left = None if left is None else left - (end - first)
        return found

    def order(self, round_: int, lane: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The lane's round as indices into its shard, and its batches' bounds: batch i is bounds[i]..bounds[i+1]."""
        shard = self.shard(round_, lane)
        pieces, bounds = [], [0]
        for epoch, first, last in self.passes(round_, lane):
            permuted = permutation(self.seed, shard, epoch, self.counts[shard])
            pieces.append(permuted[first * self.batch : last * self.batch])
            start = bounds[-1] - first * self.batch
            bounds += [start + min(b * self.batch, len(permuted)) for b in range(first + 1, last + 1)]
        return np.concatenate(pieces), np.array(bounds, dtype=np.int64)

    def _batches(self, shard: int) -> int:
        return -(-self.counts[shard] // self.batch)

    def _check(self, round_: int, lane: int) -> None:
        if not 0 <= round_ < self.rounds:
            raise ParameterError(f"round: got {round_}, expected 0..{self.rounds - 1}")
        if not 0 <= lane < self.workers:
            raise ParameterError(f"lane: got {lane}, expected 0..{self.workers - 1}")


def permutation(seed: int, shard: int, epoch: int, count: int) -> NDArray[np.int64]:
    """The order of one pass over one shard, a function of its arguments alone."""
    generator = np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, shard, epoch])))
    return generator.permutation(count).astype(np.int64, copy=False)


def evaluation_shares(workers: int, examples: int) -> int:
    """Into how many shares a held-out set of so many examples is cut, a lane each."""
    return max(1, min(workers, examples // SHARE))


def share(examples: int, shares: int, lane: int) -> tuple[int, int]:
    """The rows of the held-out set that a lane evaluates, as (first, after the last); whole batches but for the end.

    A lane beyond the shares evaluates one of them again.
    """
    batches, lane = -(-examples // EVALUATION_BATCH), lane % shares
    first, last = (batches * k // shares * EVALUATION_BATCH for k in (lane, lane + 1))
    return first, min(last, examples)


def validation_rows(examples: int, workers: int, trained: int) -> tuple[int, int]:
    """Return on how many of a set's examples the lanes evaluate a round's start, and in every how manyth round.

    `trained`: the fewest examples that a lane trains on in a round. To evaluate one takes about a third of the time to
    train on it, so that a lane's share takes less than a tenth of the round's (docs/decisions/0024).
    """
    budget = trained // EXAMPLES_A_VALIDATION
    if budget >= EVALUATION_BATCH:
        return min(examples, budget // EVALUATION_BATCH * EVALUATION_BATCH * workers), 1
    return min(examples, EVALUATION_BATCH * workers), -(-EVALUATION_BATCH // max(1, budget))


def sample(examples: int, rows: int, seed: int) -> NDArray[np.int64]:
    """Return which `(rows,)` of a set's examples are evaluated each time, in order: always the same ones."""
    generator = np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, SAMPLE])))
    return np.sort(generator.permutation(examples)[:rows]).astype(np.int64, copy=False)


def stops(start: int, total: int) -> list[int]:
    """The steps after which a slice that starts at `start` may save: ever further apart, the round's end last."""
    if not 0 <= start < total:
        raise ParameterError(f"start: got {start}, expected 0..{total - 1}")
    unit = max(1, -(-total // SAVE_UNITS))
    offered = []
    distance = unit
    while start + distance < total:
        offered.append(start + distance)
        distance *= 2
    return [*offered, total]
