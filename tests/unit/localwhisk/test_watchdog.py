"""The watchdog: private memory above the limit ends the whole session, memory shared or below it does not."""

import asyncio
import subprocess
import sys

from localwhisk.watchdog import INTERVAL, Watchdog

CHILD = "import subprocess, sys; subprocess.run([sys.executable, '-c', {!r}])"


async def watch(memory, megabytes):
    """Watch a process whose child takes memory; whether it was exhausted, and its exit code if it ended."""
    code = CHILD.format(f"import time; x = bytearray({megabytes} << 20); time.sleep(60)")
    process = subprocess.Popen([sys.executable, "-c", code], start_new_session=True)
    watchdog = Watchdog()
    group = watchdog.create("c1", memory, 1024, None)
    group.leader = process.pid
    runner = asyncio.create_task(watchdog.run())
    await asyncio.sleep(INTERVAL * 8)
    runner.cancel()
    seen = (group.out_of_memory(), process.poll())
    group.exhausted = False
    group._limit = 0  # end it in any case
    group.look()
    process.wait(5)
    return seen


def test_memory_of_all_processes_counts():
    assert asyncio.run(watch(memory=128, megabytes=200)) == (True, -9)


def test_less_than_the_limit_is_left_alone():
    assert asyncio.run(watch(memory=256, megabytes=100)) == (False, None)
