"""What the platform allows, and how long a wave may last."""

import http.server
import threading

import pytest

from common.rounds import pace
from common.rounds.ledger import Slice, Wave
from common.rounds.pace import Limits

STOCK = pace.STOCK


def wave(seconds):
    return Wave(1, "me", 0.0, seconds, (Slice(0, 0, 0),), 0.0)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b'{"limits": {"actions_per_minute": 600, "concurrent_actions": 99}}', Limits(600, 99)),
        (b'{"limits": {}}', Limits(60, 30)),
        (b"[1]", Limits(60, 30)),
        (b"<html>", Limits(60, 30)),
    ],
)
def test_the_platform_tells_its_limits_or_they_are_the_stock_ones(body, expected):
    class Root(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Root) as server:
        answering = threading.Thread(target=server.handle_request)
        answering.start()
        assert pace.read_limits(f"http://127.0.0.1:{server.server_port}") == expected
        answering.join()


def test_a_platform_that_does_not_answer_has_the_stock_limits():
    assert pace.read_limits("http://127.0.0.1:9") == Limits(60, 30)


def test_a_wave_may_have_28_lanes_at_stock_limits():
    assert STOCK.lanes == 28


@pytest.mark.parametrize(
    ("expected", "newest", "late", "seconds"),
    [
        (None, None, False, 120),
        (10.0, None, False, 50),
        (1000.0, None, False, 350),
        (10.0, wave(50.0), True, 100),
        (10.0, wave(300.0), True, 350),
    ],
)
def test_how_long_a_wave_may_last(expected, newest, late, seconds):
    assert pace.allowance(expected, newest, late) == seconds
