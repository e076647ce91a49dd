"""Throttles: how often a namespace may invoke or fire in a minute, and how much may be in flight."""

import time
from collections.abc import Callable

from localwhisk.errors import RequestError


class RateThrottle:
    """At most `allowed` calls in one minute of the clock; refused calls count too, as OpenWhisk's do."""

    def __init__(self, allowed: int, clock: Callable[[], float] = time.time) -> None:
        self.allowed = allowed
        self._clock = clock
        self._minute = -1
        self._count = 0

    def check(self) -> None:
        minute = int(self._clock() // 60)
        if minute != self._minute:
            self._minute, self._count = minute, 0
        self._count += 1
        if self._count > self.allowed:
            raise RequestError(
                429, f"Too many requests in the last minute (count: {self._count}, allowed: {self.allowed})."
            )


class ConcurrencyThrottle:
    """At most `allowed` primitive activations queued or running when another one comes in by REST."""

    def __init__(self, allowed: int) -> None:
        self.allowed = allowed
        self.active = 0

    def check(self) -> None:
        if self.active >= self.allowed:
            raise RequestError(
                429, f"Too many concurrent requests in flight (count: {self.active}, allowed: {self.allowed})."
            )


class Throttles:
    """The three throttles of the one namespace that calls."""

    def __init__(self, invocations: int, fires: int, concurrent: int) -> None:
        self.invocations = RateThrottle(invocations)
        self.fires = RateThrottle(fires)
        self.concurrency = ConcurrencyThrottle(concurrent)

    def check_invocation(self) -> None:
        self.invocations.check()
        self.concurrency.check()
