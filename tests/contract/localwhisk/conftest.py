"""One localwhisk for a module's tests, with the FLAGS of that module."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest


@pytest.fixture(scope="module")
def host(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    launch: Callable[..., Any],
    write_runtimes: Callable[..., Any],
) -> Iterator[Any]:
    folder = tmp_path_factory.mktemp("localwhisk")
    runtimes = write_runtimes(folder / "runtimes.json")
    running = launch(folder / "state", "--runtimes", str(runtimes), *getattr(request.module, "FLAGS", ()))
    yield running
    assert running.stop() == 0
