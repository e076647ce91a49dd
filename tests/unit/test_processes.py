"""scripts/processes.py: when a process is over."""

import sys

import processes

LEADERLESS = """
import ctypes, threading, time
threading.Thread(target=time.sleep, args=(1.5,)).start()
print("begun", flush=True)
ctypes.CDLL(None).pthread_exit(None)  # the first thread ends, and the process with the last one
"""


def test_a_process_whose_first_thread_has_ended_still_runs_and_is_waited_for(tmp_path):
    process = processes.start([sys.executable, "-c", LEADERLESS], {}, tmp_path / "log")
    state = processes.PROC / str(process.pid) / "stat"
    assert processes._wait(lambda: state.read_text().rsplit(") ")[1][0] == "Z", 10)
    assert process.alive()
    assert processes._wait(lambda: not process.alive(), 10)
    assert not state.exists()
