"""The throttle's arithmetic: no minute sees more branches than it allows."""

import http.server
import threading

import pytest

from common import pace
from common.ledger import Slice, Wave
from common.pace import Limits

STOCK = pace.STOCK


def wave(issued, spent, seconds=100.0):
    return Wave(1, "me", issued, issued + seconds, (Slice(0, 0, 0),), spent, 0.0)


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
    ("newest", "branches", "now", "forked", "expected"),
    [
        (None, 8, 600.0, False, 0.0),
        (wave(601.0, 44), 8, 610.0, False, 0.0),
        (wave(601.0, 45), 8, 610.0, False, 50.5),
        (wave(541.0, 48), 8, 610.0, False, 0.0),
        (wave(601.0, 8), 8, 610.0, True, 50.5),
        (wave(601.0, 8), 8, 659.0, True, 1.5),
    ],
)
def test_when_the_next_wave_may_start(newest, branches, now, forked, expected):
    assert pace.pause(newest, branches, STOCK, now, forked) == expected


def test_eight_lanes_and_eight_rounds_at_once_never_pass_the_limit():
    now, newest, by_minute = 30.0, None, {}
    for _ in range(8):
        now += pace.pause(newest, 8, STOCK, now, False)
        newest = wave(now, pace.spent(newest, now) + 8)
        by_minute[pace.minute(now)] = by_minute.get(pace.minute(now), 0) + 8
        now += 2.0
    assert sum(by_minute.values()) == 64 and max(by_minute.values()) <= 60 - pace.RESERVED


@pytest.mark.parametrize(
    ("expected", "newest", "late", "seconds"),
    [
        (None, None, False, 120),
        (10.0, None, False, 50),
        (1000.0, None, False, 350),
        (10.0, wave(0.0, 1, 50.0), True, 100),
        (10.0, wave(0.0, 1, 300.0), True, 350),
    ],
)
def test_how_long_a_wave_may_last(expected, newest, late, seconds):
    assert pace.allowance(expected, newest, late) == seconds
