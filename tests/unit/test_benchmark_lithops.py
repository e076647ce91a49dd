"""Lithops' side of the benchmark: TLS before a plain server, and the numbers that both sides share."""

import http.server
import ssl
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from benchmarks.lithops import environment, stage
from benchmarks.lithops.__main__ import OURS, whole
from benchmarks.lithops.front import front

from common.plan import params
from services import ROOT


class Backwards(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"  # the client decides when the connection ends

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))[::-1]
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[str]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Backwards) as plain:
        thread = threading.Thread(target=plain.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{plain.server_address[1]}"
        plain.shutdown()
        thread.join()


def post(address: str, body: bytes) -> bytes:
    trusting = ssl._create_unverified_context()  # as Lithops' client
    with urllib.request.urlopen(urllib.request.Request(address, body), context=trusting) as answer:
        return answer.read()


def test_the_front_passes_requests_and_answers_on(server):
    long = bytes(range(256)) * 4000
    with front(server) as address:
        assert address.startswith("https://127.0.0.1:")
        assert [post(address, body) for body in (b"one", long)] == [b"eno", long[::-1]]


def test_the_front_ends_with_its_block(server):
    with front(server) as address:
        pass
    with pytest.raises(urllib.error.URLError):
        post(address, b"late")


def test_the_named_version_is_the_pinned_one():
    locked = (ROOT / "benchmarks" / "lithops" / "requirements.txt").read_text()
    assert f"lithops=={environment.VERSION} " in locked


def test_lithops_trains_as_often_as_ours():
    ours = params.complete({"dataset": "d.npz", "model": "m.keras", "epochs": OURS.epochs, **OURS.parameters})
    assert (ours["workers"], ours["rounds"], ours["local_batch_size"]) == (stage.WORKERS, stage.ROUNDS, stage.BATCH)
    assert stage.PARTS * OURS.epochs == stage.ROUNDS


class Ending(stage.Stage):
    """Ends early so many times, as Lithops now and then does."""

    def __init__(self, times: int) -> None:
        self.times = times

    def measure(self, pair: int, data: Path, model: Path) -> dict[str, object]:
        self.times -= 1
        if self.times >= 0:
            raise stage.EndedError("python: ended with 1 and said 'EOFError: Ran out of input', expected 0")
        return {"seconds": 1.0, "pair": pair}


@pytest.mark.parametrize("times", [0, 1, 2])
def test_a_run_that_ended_early_is_measured_again_and_counted(times):
    assert whole(Ending(times), 4, Path("d"), Path("m")) == {"seconds": 1.0, "pair": 4, "ended_early": times}


def test_a_third_early_end_ends_the_benchmark():
    with pytest.raises(stage.EndedError, match="EOFError"):
        whole(Ending(3), 4, Path("d"), Path("m"))
