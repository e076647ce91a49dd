"""The OpenWhisk that the suite's cases run on: the one of --apihost, or a fresh localwhisk with raised rates."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

RAISED = ("--invocations-per-minute", "60000", "--fires-per-minute", "60000", "--user-memory", "4096")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip on another host what only localwhisk is held to."""
    for item in items:
        marker = item.get_closest_marker("localwhisk")
        if marker and item.config.getoption("--apihost"):
            item.add_marker(pytest.mark.skip(reason=f"localwhisk only: {marker.args[0]}"))


@pytest.fixture(scope="session")
def running(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    connect: Callable[..., Any],
    launch: Callable[..., Any],
    write_runtimes: Callable[..., Any],
) -> Iterator[Any]:
    address, key = request.config.getoption("--apihost"), request.config.getoption("--auth")
    if address:
        if not key:
            pytest.exit(f"--auth: got {key!r}, expected the key of a namespace", 2)
        other = connect(address.rstrip("/") if "://" in address else f"https://{address}", key, paced=True)
        yield other
        other.close()
        return
    folder = tmp_path_factory.mktemp("localwhisk")
    own = launch(folder / "state", "--runtimes", str(write_runtimes(folder / "runtimes.json")), *RAISED)
    yield own
    assert own.stop() == 0


@pytest.fixture
def host(running: Any) -> Iterator[Any]:
    """The host, without the case's entities afterwards."""
    yield running
    running.clean()
