"""The uploads that lie in the bucket; the relay lists them, and its memory keeps which were passed on."""

import re
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote_plus

import boto3
from botocore.client import Config

from events.settings import Settings

PREFIX = "datasets/"
KEY = re.compile(r"datasets/[^/]+/train\.json")


@dataclass(frozen=True)
class Upload:
    """One version of one datasets/<name>/train.json."""

    key: str
    etag: str
    modified: str
    size: int

    @property
    def version(self) -> str:
        """Tell this upload from an earlier or later one of the same key, the same content included."""
        return f"{self.etag} {self.modified}"

    def event(self, bucket: str) -> dict[str, Any]:
        """Write the upload as the S3 event that it was, its key encoded as AWS does."""
        held = {"key": quote_plus(self.key, safe="/"), "size": self.size, "eTag": self.etag}
        record = {
            "eventName": "s3:ObjectCreated:Put",
            "eventTime": self.modified,
            "s3": {"bucket": {"name": bucket}, "object": held},
        }
        return {"Records": [record]}


class Bucket:
    """The bucket that the deployment's runs live in."""

    def __init__(self, settings: Settings) -> None:
        self.name = settings.bucket
        self._client = boto3.client(
            "s3",
            endpoint_url=settings.endpoint,
            region_name=settings.region,
            aws_access_key_id=settings.access_key,
            aws_secret_access_key=settings.secret_key,
            config=Config(
                signature_version="s3v4",
                s3={"addressing_style": "path"},
                retries={"total_max_attempts": 1},  # the relay tries again itself, with growing pauses
                connect_timeout=5,
                read_timeout=30,
            ),
        )

    def uploads(self) -> list[Upload]:
        """List what was uploaded, the oldest first."""
        pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=self.name, Prefix=PREFIX)
        found = [read(item) for page in pages for item in page.get("Contents", []) if KEY.fullmatch(item["Key"])]
        return sorted(found, key=lambda upload: (upload.modified, upload.key))


def read(item: Any) -> Upload:
    """Read an entry of the listing."""
    return Upload(item["Key"], item["ETag"].strip('"'), item["LastModified"].isoformat(), item["Size"])
