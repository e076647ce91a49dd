"""scripts/services.py: what a started server lets in, and what it keeps out."""

import pytest
import redis as client

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
