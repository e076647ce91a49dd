"""The mean of the last averages, where a caller asks for it (`average_last`); used by the reducer.

Origin: averages of the iterates of a training, as stochastic weight averaging takes them (arXiv 1803.05407).
"""

from common.plan.plan import Plan
from common.rounds import averaging, rounds, stopping
from common.rounds.rounds import Round
from common.storage import keys
from common.storage.file import parts
from common.storage.objects import PART_BYTES
from common.storage.run import Run


def keep(run: Run, plan: Plan, found: Round) -> None:
    """Write the mean before it is evaluated; each average counts alike, and what has no mean is the last one's."""
    stop = stopping.end(run, plan)
    if found.evaluates is None or stop.averaged == 1 or stop.state in run.sizes(stop.state):
        return
    numbers = range(stop.final, stop.final - stop.averaged, -1)
    averages = [rounds.starting(run, number) for number in numbers]
    pieces = averaging.merged(averages, [1.0] * stop.averaged, {}, rules=rules(run, plan, stop.final - 1))
    run.objects.create_from(run.at(stop.state), parts(pieces, PART_BYTES))


def rules(run: Run, plan: Plan, number: int) -> dict[str, str]:
    """Return what is done with each tensor, as lane 0 said in a round."""
    last = plan.schedule().steps(number, 0)
    return rounds.reader(run, keys.state_key(number, 0, last)).progress.rules
