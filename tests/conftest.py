"""Fixtures that the suites share: a real S3 server, a real Redis, and the whole platform with the manifest deployed."""

import secrets
from collections.abc import Iterator

import pytest

import services
from services import Bucket


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
