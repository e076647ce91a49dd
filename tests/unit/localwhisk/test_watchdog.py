"""The watchdog: private memory above the limit ends the whole session, memory shared or below it does not."""

import asyncio
import subprocess
import sys
import time
from contextlib import contextmanager

from localwhisk.processes import private_bytes, session_members
from localwhisk.watchdog import Watchdog

CHILD = "import subprocess, sys; subprocess.run([sys.executable, '-c', {!r}])"


@contextmanager
def watched(memory, megabytes):
    """Watch a process whose child takes memory: the process, its group, and the watchdog at work."""
    code = CHILD.format(f"import time; x = bytearray({megabytes} << 20); time.sleep(600)")
    process = subprocess.Popen([sys.executable, "-c", code], start_new_session=True)
    watchdog = Watchdog()
    group = watchdog.create("c1", memory, 1024, None)
    group.leader = process.pid
    try:
        yield process, group, watchdog
    finally:
        group.exhausted = False
        group._limit = 0  # end it in any case
        group.look()
        process.wait(20)


async def until(condition, watchdog):
    """Let the watchdog look until the condition holds."""
    runner, end = asyncio.create_task(watchdog.run()), time.monotonic() + 30
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        await asyncio.sleep(0.02)
    runner.cancel()


def test_memory_of_all_processes_counts():
    with watched(memory=128, megabytes=200) as (process, group, watchdog):
        asyncio.run(until(lambda: process.poll() is not None, watchdog))
        assert (group.out_of_memory(), process.poll()) == (True, -9)


def test_less_than_the_limit_is_left_alone():
    with watched(memory=256, megabytes=100) as (process, group, watchdog):
        asyncio.run(until(lambda: used(process) > 100 << 20, watchdog))
        group.look()
        assert (group.out_of_memory(), process.poll()) == (False, None)


def used(process):
    return sum(private_bytes(pid) for pid in session_members(process.pid))
