"""Many cold starts at once, in two localwhisks: what is posted to a container reaches that one or none."""

import asyncio
import os
import signal
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import cold_starts
from localwhisk import listener

WHO = "import os\nN = []\ndef main(a):\n  N.append(1)\n  return {'pid': os.getpid(), 'n': len(N)}"


def test_three_hundred_cold_starts_side_by_side():
    outcome = asyncio.run(cold_starts.run(300))
    assert (outcome.count, outcome.wrong) == (300, [])


def test_no_port_is_given_twice(monkeypatch):
    free = listener.PORTS[1] - 90  # few ports, so that those who ask at once meet
    monkeypatch.setattr(listener, "PORTS", (free, listener.PORTS[1]))
    with ThreadPoolExecutor(16) as threads:
        held = list(threads.map(lambda _: listener.listen(), range(60)))
    assert len({one.getsockname()[1] for one in held}) == 60
    for one in held:
        one.close()


def test_a_port_is_nobody_elses_while_it_is_held():
    with listener.listen() as held, socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        with pytest.raises(OSError, match="in use"):
            other.bind(held.getsockname())


def test_a_warm_container_that_dies_before_its_run_hands_it_on(host):
    host.action("who", WHO, logs=0)
    for _ in range(10):
        pid = host.result("who")[1]["pid"]
        host.process.send_signal(signal.SIGSTOP)  # the death and the request come to it at once
        os.kill(pid, signal.SIGKILL)
        while b") Z" not in Path(f"/proc/{pid}/stat").read_bytes():
            time.sleep(0.001)
        with ThreadPoolExecutor(1) as thread:
            answer = thread.submit(host.result, "who")
            host.process.send_signal(signal.SIGCONT)
            status, result = answer.result()
        assert (status, result["n"]) == (200, 1)
        assert result["pid"] != pid
