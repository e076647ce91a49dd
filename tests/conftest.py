"""Fixtures that the suites share: a real S3 server, a real Redis, and the whole platform with the manifest deployed."""

import os
import secrets
from collections.abc import Generator, Iterator

import pytest
from hypothesis import HealthCheck, settings

import deployment
import images
import services
from local_platform import Platform
from services import Bucket

# TensorFlow in the tests' own process computes as in a container: the same bits, so that one can be the other's oracle
TENSORFLOW = images.environments()["dl-tensorflow"]
os.environ.update({name: value for name, value in TENSORFLOW.items() if name.startswith(("TF_", "OMP_", "KERAS_"))})
# the same examples every time, however busy the machine is
settings.register_profile("steady", derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("steady")
EXPECTED_SKIPS = ("no Docker engine", "not root")  # how the reasons begin that are no failure in CI


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Fail a skip in CI unless its reason is one of those expected: what CI never runs, nobody runs."""
    report = yield
    if report.skipped and os.environ.get("CI") and not hasattr(report, "wasxfail"):
        reason = report.longrepr[2].removeprefix("Skipped: ") if isinstance(report.longrepr, tuple) else ""
        if not reason.startswith(EXPECTED_SKIPS):
            report.outcome = "failed"
            report.longrepr = f"skipped in CI: got reason {reason!r}, expected one that begins with {EXPECTED_SKIPS}"
    return report


@pytest.fixture(scope="session")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bucket]:
    """Give an S3 server of this session, its bucket: `.client`, `.bucket`, and `.params` as actions get them."""
    folder = tmp_path_factory.mktemp("s3")
    port = services.free_port()
    bucket = Bucket(
        f"http://{services.HOST}:{port}", services.REGION, services.BUCKET, "test-root", secrets.token_hex(20)
    )
    server = services.start_s3(folder, port, bucket)
    yield bucket
    bucket.client.close()
    server.process.stop(patience=5)


@pytest.fixture(scope="session")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Give the URI of a Redis of this session, as the conductors get it."""
    password = secrets.token_hex(24)
    server = services.start_redis(tmp_path_factory.mktemp("redis"), services.free_port(), password)
    yield services.redis_uri(server.port, password)
    server.process.stop(patience=5)


@pytest.fixture(scope="session")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    """Give a platform of this session with the manifest deployed by kinds."""
    running = Platform(tmp_path_factory.mktemp("platform"))
    running.start()
    try:
        deployment.deploy(running.environment(), kinds=True)
        yield running
    finally:
        running.stop()
