"""Command line: `python -m events`, with everything it needs in the environment (docs/operations.md)."""

import asyncio
import logging
import os
import sys

import aiohttp
import uvicorn

from events.bucket import Bucket
from events.inbox import build
from events.memory import Memory
from events.relay import Relay
from events.settings import Settings, SettingsError
from events.trigger import Trigger

PATIENCE = 1  # seconds; an S3 server's open connection must not hold up the end


async def serve(settings: Settings) -> None:
    """Take events and pass uploads on until SIGTERM; what fails for good ends both."""
    settings.state.mkdir(mode=0o700, parents=True, exist_ok=True)
    async with aiohttp.ClientSession() as client, asyncio.TaskGroup() as group:
        memory = Memory(settings.state / "passed-on.json")
        relay = Relay(Bucket(settings), memory, Trigger(settings, client))
        looking = group.create_task(relay.run())
        config = uvicorn.Config(
            build(settings.bucket, settings.credentials, relay.bell.set),
            host=settings.host,
            port=settings.port,
            log_level="warning",
            access_log=False,
            lifespan="off",
            timeout_graceful_shutdown=PATIENCE,
        )
        await uvicorn.Server(config).serve()
        looking.cancel()


def main() -> None:
    logging.basicConfig(format="%(asctime)s %(name)s: %(message)s", level=logging.WARNING, stream=sys.stdout)
    logging.getLogger("relay").setLevel(logging.INFO)
    try:
        settings = Settings.of(os.environ)
    except SettingsError as error:
        sys.exit(f"events: {error}")
    asyncio.run(serve(settings))


if __name__ == "__main__":
    main()
