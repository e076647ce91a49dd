"""Cold starts, many at once, in two localwhisks side by side: each answer must be that of the code that was asked.

Run by scripts/bench. The containers are an image of their own whose proxy tells what /init and /run brought it, and
starts in a few milliseconds; what is tried is who gets which request.
"""

import asyncio
import json
import sys
import tempfile
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

from localwhisk.auth import basic
from platform_cost import Running, localwhisk

COUNT, HOSTS, AT_ONCE = 10_000, 2, 30  # cold starts in all; of each host
IMAGE = "cold/image:1"
PROGRAM = """#!/bin/sh
exec %s -I -S -c '
import os, socket
server = socket.socket(fileno=int(os.environ["OW_SOCKET"]))
seen = {}
while True:
  connection, _ = server.accept()
  text = b""
  while b"\\r\\n\\r\\n" not in text: text += connection.recv(65536)
  head, _, body = text.partition(b"\\r\\n\\r\\n")
  length = int(head.lower().split(b"content-length:")[1].split()[0])
  while len(body) < length: body += connection.recv(65536)
  seen[head.split()[1].decode()] = body.hex()
  answer = str(seen).replace(chr(39), chr(34)).encode()
  connection.sendall(b"HTTP/1.1 200 OK\\r\\nContent-Length: %%d\\r\\n\\r\\n" %% len(answer) + answer)
  connection.close()
'
"""


@dataclass(frozen=True)
class Outcome:
    """What became of all cold starts: the wrong answers, and seconds."""

    count: int
    wrong: list[str]
    seconds: float


async def run(count: int) -> Outcome:
    """Start this many containers, each for code of its own."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="cold-")))
        image = f"{IMAGE}={_image(folder)}"
        hosts = [stack.enter_context(localwhisk("--image", image)) for _ in range(HOSTS)]
        begin = time.perf_counter()
        found = await asyncio.gather(*(_host(host, name, count // HOSTS) for name, host in enumerate(hosts)))
        seconds = time.perf_counter() - begin
    return Outcome(count // HOSTS * HOSTS, [text for wrong in found for text in wrong], seconds)


def _image(folder: Path) -> Path:
    program = folder / "bin/python"
    program.parent.mkdir()
    program.write_text(PROGRAM % sys.executable)
    program.chmod(0o755)
    return folder


async def _host(host: Running, name: int, count: int) -> list[str]:
    """Wrong answers of one host; its callers take turns at the numbers."""
    numbers = iter(range(count))
    headers = {"Authorization": basic(host.key)}
    connector = aiohttp.TCPConnector(limit=AT_ONCE)
    async with aiohttp.ClientSession(host.address, headers=headers, connector=connector) as session:

        async def caller(own: int) -> list[str]:
            found = [await _cold(session, f"cold-{own}", {"host": name, "number": number}) for number in numbers]
            return [text for text in found if text]

        return [text for wrong in await asyncio.gather(*map(caller, range(AT_ONCE))) for text in wrong]


async def _cold(session: aiohttp.ClientSession, action: str, value: dict[str, int]) -> str:
    """Change an action and call it; what came if it is not what was expected."""
    path = f"/api/v1/namespaces/_/actions/{action}"
    execution = {"kind": "blackbox", "image": IMAGE, "code": json.dumps(value)}
    body = {"exec": execution, "limits": {"logs": 0, "memory": 128}}
    async with session.put(f"{path}?overwrite=true", json=body) as response:
        response.raise_for_status()
    async with session.post(f"{path}?blocking=true&result=true", json=value) as response:
        answer: dict[str, Any] = await response.json()
    if set(answer) != {"/init", "/run"}:
        return json.dumps(answer)
    requests = {key: json.loads(bytes.fromhex(text))["value"] for key, text in answer.items()}
    told = (json.loads(requests["/init"]["code"]), requests["/run"])
    return "" if told == (value, value) else f"{value}: got {told}"


def main() -> None:
    """Print what became of them; fail if one answer was wrong."""
    outcome = asyncio.run(run(COUNT))
    for text in outcome.wrong:
        print(text[:200])
    rate = outcome.count / outcome.seconds
    print(f"{outcome.count} cold starts in {HOSTS} localwhisks, {HOSTS * AT_ONCE} at once: "
          f"{len(outcome.wrong)} wrong, {rate:.0f} a second")  # fmt: skip
    sys.exit(1 if outcome.wrong else 0)


if __name__ == "__main__":
    main()
