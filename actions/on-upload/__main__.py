"""On-upload: turns the event of an uploaded datasets/<name>/train.json into the parameters of one run of dl-pipeline.

An error ends the sequence here, before the pipeline. Nothing of the event but bucket, key and etag goes on, and that it
was an upload: what it asks for may not be read from just anywhere.
"""

import re
from typing import Any
from urllib.parse import unquote_plus

from common.errors import ParameterError

EXPECTED = "expected one created datasets/<name>/train.json"
CREATED = re.compile(r"(s3:)?ObjectCreated:.+")
BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
KEY = re.compile(r"datasets/([^/]+)/train\.json")
NAME_LENGTH = 64  # of a run's name
ETAG_LENGTH = 12


def main(args: dict[str, Any]) -> dict[str, Any]:
    """Return `config`, `run` and `uploaded`, and nothing else."""
    args.pop("__ow_headers", None)  # holds the namespace's key, as a trigger hands it on
    bucket, key, etag = read(args.get("Records"))
    match = KEY.fullmatch(key)
    if not match:
        raise ParameterError(f"event: got key {key[:200]!r}, {EXPECTED}")
    return {"config": f"s3://{bucket}/{key}", "run": run_name(match[1], etag), "uploaded": True}


def read(records: object) -> tuple[str, str, str]:
    """Return bucket, key and etag of an event; servers differ in how they write key and etag."""
    if not isinstance(records, list) or len(records) != 1:
        count = len(records) if isinstance(records, list) else "no"
        raise ParameterError(f"event: got {count} records, {EXPECTED}")
    record = records[0]
    try:
        name, bucket, held = record["eventName"], record["s3"]["bucket"]["name"], record["s3"]["object"]
        key, etag = unquote_plus(held["key"], errors="strict"), held["eTag"].strip('"')
    except (AttributeError, KeyError, TypeError, ValueError):
        raise ParameterError(f"event: got a record without event name, bucket, key or eTag, {EXPECTED}") from None
    if not isinstance(name, str) or not CREATED.fullmatch(name):
        raise ParameterError(f"event: got {str(name)[:60]!r}, {EXPECTED}")
    if not isinstance(bucket, str) or not BUCKET.fullmatch(bucket) or not etag:
        raise ParameterError(f"event: got bucket {str(bucket)[:63]!r} and eTag {etag[:64]!r}, {EXPECTED}")
    return bucket, key, etag


def run_name(name: str, etag: str) -> str:
    """Name the run after name and content, so that the same upload twice starts one run."""
    tail = plain(etag)[:ETAG_LENGTH]
    return f"{plain(name)[: NAME_LENGTH - 1 - len(tail)]}-{tail}"


def plain(text: str) -> str:
    """Return a text of a-z, 0-9 and - alone."""
    return re.sub(r"[^a-z0-9-]", "-", text.lower())
