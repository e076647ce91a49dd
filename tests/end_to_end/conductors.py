"""wave-map's containers, as the tests that kill them see them."""

import json
import os
import signal
import time
from pathlib import Path

import psutil


def wait(condition, seconds=60):
    """Wait until a condition holds; return what it returned."""
    end = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < end, "it did not come"
        time.sleep(0.005)
    return found


class Conductors:
    """The containers of a localwhisk that run wave-map, beside the Redis that they use."""

    def __init__(self, state, redis):
        self.containers, self.redis = state / "containers", redis

    def processes(self):
        """Return the process of each."""
        notes = [code.parents[2] / "process.json" for code in self.containers.glob("*/root/action-*/composition.js")]
        return [psutil.Process(json.loads(note.read_text())["pid"]) for note in notes]

    def lose_a_branch(self):
        """Kill the conductor of one branch while it reports that its trainer has ended: to a Redis that has stopped."""
        os.kill(self.redis.process.pid, signal.SIGSTOP)
        try:
            wait(self.reporting)[0].kill()
        finally:
            os.kill(self.redis.process.pid, signal.SIGCONT)

    def reporting(self):
        """Return the processes that have sent what Redis has not read."""
        unread = self.unread()
        return [process for process in self.processes() if unread & ports(process)]

    def unread(self):
        """Return the clients' ports of Redis' connections with bytes that it has not read."""
        found = set()
        for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
            _, local, remote, _, queues, *_ = line.split()
            if port(local) == self.redis.port and int(queues.partition(":")[2], 16):
                found.add(port(remote))
        return found


def port(address):
    """Read the port of an address as /proc/net/tcp has it."""
    return int(address.rpartition(":")[2], 16)


def ports(process):
    """Return the local ports of a container's connections."""
    family = [process, *process.children(recursive=True)]
    return {link.laddr.port for each in family for link in each.net_connections("tcp")}
