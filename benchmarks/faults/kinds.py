"""The faults: what is killed or stopped, and when; used by faults."""

import os
import random
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass

from benchmarks.faults.containers import Container, Containers
from benchmarks.faults.job import Job

LOOK_SECONDS = 0.001  # between two looks: a conductor's step takes a few milliseconds
STOPPED_SECONDS = 20.0
LATEST = 6  # a fault meets one of the first so many chances: waves for a trainer, say
STEPS = 3  # the same for a conductor's steps, which are seen only now and then


@dataclass(frozen=True)
class Kind:
    """A kind of fault; `strike` returns whether it hit before the run ended."""

    name: str
    strike: Callable[["Scene"], bool]
    kills_platform: bool = False  # then the repeated command is the user's own


@dataclass(frozen=True)
class Scene:
    """A run under way, and the chance at which its fault comes."""

    job: Job
    run: str
    activation: str
    chance: random.Random
    seconds: float  # that the undisturbed run takes

    @property
    def containers(self) -> Containers:
        """Return the platform's containers."""
        return Containers(self.job.platform.state / "localwhisk" / "containers")

    def pause(self) -> None:
        """Wait for a moment of the run."""
        time.sleep(self.chance.uniform(0.05, 0.75) * self.seconds)

    def over(self) -> bool:
        """Return whether the invocation has ended."""
        try:
            self.job.client.wait(self.activation, 0.001)
        except TimeoutError:
            return False
        return True


def met(scene: Scene, action: str, fewest: int = 1, nth: int = 1) -> list[Container]:
    """Wait for the n-th time that so many containers of an action are busy; none when the run ends before."""
    containers, seen, before, looks = scene.containers, 0, False, 0
    while True:
        busy = containers.busy(action)
        now = len(busy) >= fewest
        seen += now and not before
        if now and seen >= nth:
            return busy
        before, looks = now, looks + 1
        if looks % 100 == 0 and scene.over():
            return []
        time.sleep(LOOK_SECONDS)


def killed(action: str, chances: int) -> Callable[[Scene], bool]:
    """Return a fault that kills a busy container of an action, at one of so many chances."""

    def strike(scene: Scene) -> bool:
        found = met(scene, action, nth=scene.chance.randint(1, chances))
        for container in found[:1]:
            container.kill()
        return bool(found)

    return strike


def parent_killed(scene: Scene) -> bool:
    """Kill the conductor that joins a wave: of the busy ones, the one that was there before its branches."""
    found = met(scene, "wave-map", nth=scene.chance.randint(1, LATEST))
    for container in found[:1]:
        time.sleep(0.1)  # the fork is done, the join waits
        container.kill()
    return bool(found)


def branch_killed(scene: Scene) -> bool:
    """Kill the conductor of one branch: of several busy ones, not the first."""
    first = met(scene, "wave-map", nth=scene.chance.randint(1, LATEST))
    if not first:
        return False
    known = {container.pid for container in first}
    containers = scene.containers
    while not scene.over():
        for _ in range(300):
            branches = [one for one in containers.busy("wave-map") if one.pid not in known]
            if branches:
                branches[0].kill()
                return True
            time.sleep(LOOK_SECONDS)
    return False


def trainer_stopped(scene: Scene) -> bool:
    """Stop a trainer for a while, as a machine under load does, and let it go on."""
    found = met(scene, "trainer", nth=scene.chance.randint(1, LATEST))
    for container in found[:1]:
        container.pause()
        time.sleep(STOPPED_SECONDS)
        container.resume()
    return bool(found)


def server_killed(name: str) -> Callable[[Scene], bool]:
    """Return a fault that kills one of the platform's servers and starts it again."""

    def strike(scene: Scene) -> bool:
        scene.pause()
        if scene.over():
            return False
        process = scene.job.platform.running()[name].process
        os.kill(process.pid, signal.SIGKILL)
        while process.alive():
            time.sleep(LOOK_SECONDS)
        scene.job.platform.start(scene.job.flags)
        return True

    return strike


def twin(scene: Scene) -> bool:
    """Invoke the same run once more while it is under way."""
    scene.pause()
    if scene.over():
        return False
    scene.job.invoke(scene.run)
    return True


KINDS = (
    Kind("trainer killed", killed("trainer", LATEST)),
    Kind("splitter killed", killed("splitter", 1)),
    Kind("reducer killed", killed("reducer", LATEST)),
    Kind("evaluator killed", killed("evaluator", 1)),
    Kind("planner killed", killed("planner", 1)),
    Kind("map's parent killed", parent_killed),
    Kind("branch killed", branch_killed),
    Kind("dl-pipeline killed", killed("dl-pipeline", 1)),
    Kind("run-steps killed", killed("run-steps", STEPS)),
    Kind("train-loop killed", killed("train-loop", STEPS)),
    Kind("localwhisk killed", server_killed("localwhisk"), kills_platform=True),
    Kind("Redis killed", server_killed("redis")),
    Kind("S3 server killed", server_killed("versitygw")),
    Kind(f"trainer stopped {STOPPED_SECONDS:.0f} s", trainer_stopped),
    Kind("twin driver", twin),
)
