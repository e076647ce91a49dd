"""The container pool: who runs where. Warm containers first, then stem cells, new ones, eviction, the queue.

As OpenWhisk's ContainerPool: reuse by invoking namespace and equal action, least recently used out first, and one
queue in which an action that does not fit holds up everything behind it.
"""

import asyncio
import time
from collections import deque
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any

from localwhisk.container import Container, Machine
from localwhisk.kinds import Kind, Kinds, StemCell

IDLE_CONTAINER = 600.0  # seconds, whisk.container-proxy.timeouts.idle-container
PAUSE_GRACE = 10.0  # seconds, whisk.container-proxy.timeouts.pause-grace
HOUSEKEEPING = 5.0  # seconds


@dataclass(frozen=True)
class Wanted:
    """The container an activation needs."""

    owner: tuple[str, str]  # invoking namespace, digest of the action
    image: str
    kind: str | None  # None for blackbox images
    memory: int
    name: str  # of the action, for whoever looks at the machine


class Pool:
    """All containers of this localwhisk, within `user_memory`."""

    def __init__(self, machine: Machine, kinds: Kinds) -> None:
        self._machine = machine
        self._kinds = kinds
        self._room = machine.settings.user_memory
        self._idle: list[Container] = []
        self._busy: set[Container] = set()
        self._stems: list[Container] = []
        self._queue: deque[tuple[Wanted, asyncio.Future[Container]]] = deque()
        self._tasks: set[asyncio.Task[None]] = set()

    async def acquire(self, wanted: Wanted) -> Container:
        """A container, in the order of requests; `started` and `owner` tell what is left to do with it."""
        turn: asyncio.Future[Container] = asyncio.get_running_loop().create_future()
        self._queue.append((wanted, turn))
        self._serve()
        return await turn

    def release(self, container: Container) -> None:
        """Keep a container that did well for the next equal activation."""
        self._busy.discard(container)
        container.last_used = time.monotonic()
        self._idle.append(container)
        self._serve()

    def discard(self, container: Container) -> None:
        """Destroy a container that an activation held."""
        self._busy.discard(container)
        self._destroy(container)
        self._serve()

    def grow_stem_cells(self) -> None:
        """Start the stem cells that are missing, as far as they fit."""
        for kind in self._kinds.by_name.values():
            for cell in kind.stem_cells:
                present = sum(stem.kind == kind.name and stem.memory == cell.memory for stem in self._stems)
                for _ in range(cell.count - present):
                    self._grow(kind, cell)

    async def keep_house(self) -> None:
        """Pause containers that wait, remove those that waited for long, and put stem cells back."""
        while True:
            await asyncio.sleep(HOUSEKEEPING)
            now = time.monotonic()
            for container in list(self._idle):
                if now - container.last_used > IDLE_CONTAINER or not container.alive:
                    self._idle.remove(container)
                    self._destroy(container)
                elif now - container.last_used > PAUSE_GRACE:
                    container.pause()
            self._bury_stem_cells()
            self.grow_stem_cells()
            self._serve()

    async def close(self) -> None:
        """Destroy everything."""
        for container in [*self._idle, *self._busy, *self._stems]:
            self._destroy(container)
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _serve(self) -> None:
        while self._queue:
            wanted, turn = self._queue[0]
            container = self._place(wanted)
            if container is None:
                return
            self._queue.popleft()
            self._busy.add(container)
            turn.set_result(container)

    def _place(self, wanted: Wanted) -> Container | None:
        warm = self._take_warm(wanted)
        if warm is not None:
            return warm
        stem = self._take_stem(wanted)
        if stem is not None:
            return stem
        if not self._make_room(wanted.memory):
            return None
        launch = self._kinds.launch(wanted.image, wanted.kind)
        return Container(wanted.image, wanted.kind, wanted.memory, launch, self._machine, wanted.name)

    def _take_warm(self, wanted: Wanted) -> Container | None:
        for container in [idle for idle in self._idle if idle.owner == wanted.owner]:
            self._idle.remove(container)
            if container.alive:
                container.resume()
                return container
            self._destroy(container)
        return None

    def _take_stem(self, wanted: Wanted) -> Container | None:
        if wanted.kind is None:
            return None
        for stem in [cell for cell in self._stems if (cell.kind, cell.memory) == (wanted.kind, wanted.memory)]:
            if not stem.started:
                continue
            self._stems.remove(stem)
            self._busy.add(stem)  # its memory counts while its replacement is weighed
            self.grow_stem_cells()
            if stem.alive:
                return stem
            self._busy.discard(stem)
            self._destroy(stem)
        return None

    def _make_room(self, memory: int) -> bool:
        """Evict idle containers, least recently used first, if that makes the new one fit; else none."""
        free = self._room - self._used()
        victims: list[Container] = []
        for container in sorted(self._idle, key=lambda idle: idle.last_used):
            if free >= memory:
                break
            victims.append(container)
            free += container.memory
        if free < memory:
            return False
        for container in victims:
            self._idle.remove(container)
            self._destroy(container)
        return True

    def _used(self) -> int:
        return sum(container.memory for container in [*self._idle, *self._busy, *self._stems])

    def _bury_stem_cells(self) -> None:
        for stem in [cell for cell in self._stems if cell.started and not cell.alive]:
            self._stems.remove(stem)
            self._destroy(stem)

    def _grow(self, kind: Kind, cell: StemCell) -> None:
        launch = self._kinds.launch(kind.image, kind.name)
        # room for any one action stays: nobody evicts stem cells, and what does not fit would wait for ever
        room = self._room - self._machine.settings.max_memory
        if launch is None or self._used() + cell.memory > room:
            return
        stem = Container(kind.image, kind.name, cell.memory, launch, self._machine, "stem cell")
        self._stems.append(stem)
        self._spawn(stem.start())

    def _destroy(self, container: Container) -> None:
        self._spawn(container.destroy())

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
