"""Looks at the bucket whenever its bell rings, and passes on what has not been, in order; used by __main__."""

import asyncio
import contextlib
import logging

import aiohttp
from botocore.exceptions import BotoCoreError, ClientError
from tenacity import RetryCallState, retry, retry_if_exception_type, wait_random_exponential

from events.bucket import Bucket, Upload
from events.memory import Memory
from events.trigger import FireError, Trigger

LOOK_SECONDS = 60  # a notification may be lost: servers send each once
LONGEST_PAUSE = 30  # seconds
PASSING = (FireError, aiohttp.ClientError, TimeoutError, ClientError, BotoCoreError)

log = logging.getLogger("relay")


def tell(state: RetryCallState) -> None:
    """Log why a step is repeated; the clients' errors name addresses, but no keys."""
    error = state.outcome.exception() if state.outcome else None
    log.warning("%s; again in %.1f s", " ".join((str(error) or type(error).__name__).split()), state.upcoming_sleep)


# while what a step needs is down, throttled or not deployed yet
patiently = retry(
    retry=retry_if_exception_type(PASSING),
    wait=wait_random_exponential(multiplier=0.2, max=LONGEST_PAUSE),
    before_sleep=tell,
)


class Relay:
    """From the bucket to the trigger."""

    def __init__(self, bucket: Bucket, memory: Memory, trigger: Trigger) -> None:
        self.bell = asyncio.Event()
        self._bucket = bucket
        self._memory = memory
        self._trigger = trigger

    async def run(self) -> None:
        """Look at once, then whenever the bell rings, and now and then without it."""
        while True:
            self.bell.clear()
            await self._look()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self.bell.wait(), LOOK_SECONDS)

    async def _look(self) -> None:
        uploads = await self._list()
        self._memory.forget_others(uploads)
        for upload in uploads:
            if not self._memory.holds(upload):
                await self._pass_on(upload)

    @patiently
    async def _list(self) -> list[Upload]:
        return await asyncio.to_thread(self._bucket.uploads)

    @patiently
    async def _pass_on(self, upload: Upload) -> None:
        await self._trigger.fire(upload.event(self._bucket.name))
        self._memory.add(upload)
        log.info("passed on %s (etag %s)", upload.key, upload.etag)
