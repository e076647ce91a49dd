"""Kills, crashes, throttles and small pools: the weights come out the same, to the bit."""

import os
import signal
import time

import psutil
import pytest

import deployment
from common.reports import progress
from common.rounds import lease, ledger

from .conductors import Conductors
from .conftest import PARAMETERS, at_first
from .test_pipeline import wait

KILLS = {  # a cold trainer may still be at its /init
    "The action did not produce a valid response and exited unexpectedly.",
    "The action did not initialize and exited unexpectedly.",
}


def at_work(deployed):
    """Return the trainers that are at work (warm ones of earlier runs are not)."""
    trainers = deployed.trainers()
    before = [process.cpu_times().user for process in trainers]
    time.sleep(0.1)
    return [process for process, was in zip(trainers, before, strict=True) if process.cpu_times().user > was + 0.02]


def kill_one_trainer(deployed):
    """Kill a trainer that is at work; False when none is."""
    busy = at_work(deployed)
    for process in busy[:1]:
        process.send_signal(signal.SIGKILL)
    return bool(busy)


def test_trainers_killed_at_the_start_and_in_the_middle(deployed, trained):
    activation = deployed.start(run="killed", **PARAMETERS)
    wait(lambda: (0, 0, 1) in deployed.attempts("killed"))
    wait(lambda: kill_one_trainer(deployed))
    wait(lambda: (1, 0, 1) in deployed.attempts("killed"))
    time.sleep(0.3)
    wait(lambda: kill_one_trainer(deployed))
    result = deployed.finish(activation)
    attempts = deployed.attempts("killed")
    assert result["weights_sha256"] == trained["weights_sha256"]
    assert [sum(r == number and attempt == 2 for r, _, attempt in attempts) for number in (0, 1)] == [1, 1]
    assert all(attempt <= 2 for _, _, attempt in attempts)
    told = progress.standing(deployed.run("killed"), time.time())["failed_attempts"]
    assert [(row["round"], row["attempt"]) for row in told] == [(0, 1), (1, 1)]
    assert {row["reason"] for row in told} <= KILLS


def seconds(deployed, run, number):
    """Return how long the run's wave of this number took, to the next one."""
    first, second = (ledger.find(deployed.run(run), wave) for wave in (number, number + 1))
    return second.issued - first.issued


@pytest.mark.parametrize("number", [0, 1])
def test_a_lost_branch_costs_seconds(deployed, trained, number):
    """It is lost while it reports, so its state is there: no attempt, and no waiting for the wave's deadline."""
    run = f"lost-{number}"
    activation = deployed.start(run=run, **PARAMETERS)
    wait(lambda: (number, 0, 1) in deployed.attempts(run))
    wait(lambda: at_work(deployed))
    redis = deployed.platform.running()["redis"]
    Conductors(deployed.platform.state / "localwhisk", redis).lose_a_branch()
    assert deployed.finish(activation)["weights_sha256"] == trained["weights_sha256"]
    assert deployed.attempts(run) == at_first(rounds=2, lanes=3)
    assert seconds(deployed, run, number) < 2 * seconds(deployed, "undisturbed", number) + 10


def test_a_platform_killed_in_the_middle_of_training(deployed, trained):
    deployed.start(run="crashed", **PARAMETERS)
    wait(lambda: (1, 0, 1) in deployed.attempts("crashed"))
    time.sleep(0.5)
    server = deployed.platform.running()["localwhisk"].process
    os.kill(server.pid, signal.SIGKILL)
    wait(lambda: not server.alive())
    deployed.platform.start()
    told = progress.standing(deployed.run("crashed"), time.time() + 400)  # the last wave's lease is over by then
    assert (told["phase"], "dl-pipeline -p run crashed" in told["advice"]) == ("abandoned", True)
    assert deployed.train("crashed", workers=2) == {"error": "run crashed exists with workers 3, got 2"}
    began = time.time()
    assert deployed.train("crashed")["weights_sha256"] == trained["weights_sha256"]
    assert deployed.attempts("crashed") == at_first(rounds=2, lanes=3)
    taken_up = [wave.issued for wave in deployed.waves("crashed") if wave.issued > began]
    assert min(taken_up) - began < lease.SILENCE_SECONDS + 10


def test_two_drivers_of_one_run_do_no_harm(deployed, trained):
    both = [deployed.start(run="twice", **PARAMETERS) for _ in range(2)]
    results = [deployed.finish(activation) for activation in both]
    assert [result["weights_sha256"] for result in results] == [trained["weights_sha256"]] * 2
    assert deployed.attempts("twice") == at_first(rounds=2, lanes=3)


def test_runs_side_by_side_share_the_minute(deployed, trained):
    """Five runs need 65 invocations and more, so at least one minute's end is waited for; none is refused."""
    began = time.time()
    runs = {f"beside-{k}": deployed.start(run=f"beside-{k}", **PARAMETERS) for k in range(5)}
    results = [deployed.finish(activation) for activation in runs.values()]
    assert [result.get("weights_sha256") for result in results] == [trained["weights_sha256"]] * 5, results
    for run in runs:
        assert deployed.attempts(run) == at_first(rounds=2, lanes=3)
    assert time.time() - began < 2 * (60 + 5 * sum(trained["seconds"].values()))


def test_eight_lanes_and_eight_rounds_at_stock_throttles(deployed):
    result = deployed.train("wide", workers=8, epochs=4, rounds=8)
    assert "error" not in result, result
    assert deployed.attempts("wide") == at_first(rounds=8, lanes=8)


def test_a_stock_pool_without_stem_cells_gives_the_same_weights(stock, trained):
    assert stock.train("small")["weights_sha256"] == trained["weights_sha256"]


def test_what_wskdeploy_puts_it_takes_away(stock):
    environment = stock.platform.environment()
    before = versions(stock)
    assert len(before) == 13
    deployment.wskdeploy(environment, "-m", str(deployment.MANIFEST))
    assert versions(stock) == before
    deployment.undeploy(environment)
    assert stock.wsk("list").stdout == stock.before
    group = stock.platform.running()["localwhisk"].process
    children = psutil.Process(group.pid).children(recursive=True)
    stock.platform.stop()
    assert children and not [process for process in children if process.is_running()]


def versions(deployed):
    """Return {action: (version, code)} of everything but sequences, which wskdeploy cannot version."""
    listed = [f"{row['namespace'].partition('/')[2]}/{row['name']}".lstrip("/") for row in deployed.get("actions")]
    held = {name: deployed.get(f"actions/{name}") for name in listed}
    return {name: (a["version"], a["exec"]["code"]) for name, a in held.items() if a["exec"]["kind"] != "sequence"}
