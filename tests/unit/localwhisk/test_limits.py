"""Throttles: a minute is the clock's, and a refused call counts."""

import pytest

from localwhisk.errors import RequestError
from localwhisk.limits import RateThrottle


def test_a_new_minute_starts_from_nothing():
    now = [119.0]
    throttle = RateThrottle(2, lambda: now[0])
    throttle.check()
    throttle.check()
    for count in (3, 4):
        with pytest.raises(RequestError) as caught:
            throttle.check()
        assert caught.value.status == 429
        assert caught.value.message == f"Too many requests in the last minute (count: {count}, allowed: 2)."
    now[0] = 120.0
    throttle.check()
