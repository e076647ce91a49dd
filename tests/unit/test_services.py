"""scripts/services.py: what a started server lets in, and what it keeps out."""

import socket
import subprocess
import sys
import threading

import pytest
import redis as client

import services
from services import Bucket


def test_the_bucket_keeps_an_object_once(s3: Bucket) -> None:
    s3.client.put_object(Bucket=s3.bucket, Key="services/a", Body=b"first", IfNoneMatch="*")
    with pytest.raises(s3.client.exceptions.ClientError, match="PreconditionFailed"):
        s3.client.put_object(Bucket=s3.bucket, Key="services/a", Body=b"second", IfNoneMatch="*")
    assert s3.client.get_object(Bucket=s3.bucket, Key="services/a")["Body"].read() == b"first"


def test_redis_opens_composer_keys_alone(redis: str) -> None:
    with client.Redis.from_url(redis) as composer:
        assert composer.lpush("composer/fork/1", "a") == 1
        with pytest.raises(client.exceptions.NoPermissionError, match="keys"):
            composer.lpush("other", "a")
        with pytest.raises(client.exceptions.NoPermissionError, match="keys"):
            composer.execute_command("KEYS", "*")


def test_redis_refuses_a_client_without_password(redis: str) -> None:
    host = redis.split("@")[1]
    with client.Redis.from_url(f"redis://{host}") as stranger, pytest.raises(client.exceptions.AuthenticationError):
        stranger.ping()


def test_a_port_that_is_freed_in_a_moment_is_kept():
    with socket.socket() as held:
        held.bind((services.HOST, 0))
        held.listen()
        port = held.getsockname()[1]
        threading.Timer(0.3, held.close).start()
        assert services.free_port(port) == port


def test_a_port_that_stays_taken_is_not_waited_for_long(monkeypatch):
    monkeypatch.setattr(services, "PORT_TRIES", 2)
    with socket.socket() as held:
        held.bind((services.HOST, 0))
        held.listen()
        assert services.free_port(held.getsockname()[1]) != held.getsockname()[1]


CHILD = "import services; services.PORTS = {}; print(*(services.free_port() for _ in range(40)), flush=True); input()"


def test_a_port_is_given_once_whoever_asks(monkeypatch):
    monkeypatch.setattr(services, "PORTS", (31_800, 31_920))
    command = [sys.executable, "-c", CHILD.format(services.PORTS)]
    environment = {"PYTHONPATH": str(services.ROOT / "scripts")}
    with subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        theirs = [int(port) for port in other.stdout.readline().split()]
        ours = [services.free_port() for _ in range(40)]
        other.communicate("\n")
    assert len({*theirs, *ours}) == 80
    assert all(services.PORTS[0] <= port < services.PORTS[1] for port in (*theirs, *ours))
