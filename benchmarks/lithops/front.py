"""TLS before an OpenWhisk that has none: Lithops' client speaks https alone; used by benchmarks.lithops.stage.

As the nginx before a full OpenWhisk does, it ends TLS and passes the bytes on; in a thread, on the loopback.
"""

import asyncio
import contextlib
import ssl
import subprocess
import tempfile
import threading
from collections.abc import Coroutine, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

HOST = "127.0.0.1"
CHUNK = 1 << 16


class FrontError(Exception):
    """A certificate that could not be made, in one sentence."""


@contextlib.contextmanager
def front(target: str) -> Iterator[str]:
    """Serve an http address by https until the block ends; yield the new address."""
    address = urlsplit(target)
    loop = asyncio.new_event_loop()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.closing(writer), contextlib.suppress(OSError, asyncio.CancelledError):
            inner_reader, inner_writer = await asyncio.open_connection(address.hostname, address.port)
            with contextlib.closing(inner_writer):
                await first_of(copy(reader, inner_writer), copy(inner_reader, writer))

    with certificate() as context:
        server = loop.run_until_complete(asyncio.start_server(handle, HOST, 0, ssl=context))
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    try:
        yield f"https://{HOST}:{server.sockets[0].getsockname()[1]}"
    finally:
        asyncio.run_coroutine_threadsafe(close(server), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


async def first_of(*copies: Coroutine[Any, Any, None]) -> None:
    """Run both directions until one side has closed."""
    tasks = [asyncio.ensure_future(copy) for copy in copies]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Pass bytes on until there are no more."""
    while data := await reader.read(CHUNK):
        writer.write(data)
        await writer.drain()


async def close(server: asyncio.Server) -> None:
    """Stop listening and end the connections that clients kept."""
    server.close()
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)


@contextlib.contextmanager
def certificate() -> Iterator[ssl.SSLContext]:
    """Yield a server's side of TLS, with a certificate that nobody signed."""
    with tempfile.TemporaryDirectory() as folder:
        key, chain = Path(folder) / "key.pem", Path(folder) / "certificate.pem"
        words = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "30", "-subj", f"/CN={HOST}"]
        try:
            subprocess.run([*words, "-keyout", key, "-out", chain], check=True, capture_output=True)
        except (OSError, subprocess.CalledProcessError) as error:
            raise FrontError(f"openssl: got {error}, expected a certificate; it must be on PATH") from None
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(chain, key)
        yield context
