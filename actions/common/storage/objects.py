"""The object store of runs: names of all keys, whole-object conditional writes, range reads, presigned URLs.

Used by every action that holds S3 keys; trainers hold none and never import this.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from itertools import chain
from pathlib import Path
from typing import Any, cast

import boto3
from botocore.client import Config
from botocore.exceptions import BotoCoreError, ClientError

from common.errors import AbsentError, AccessError, ParameterError, StoreError

URL_SECONDS = 900  # a presigned URL must not outlive its wave by much: activation records keep it
PART_BYTES = 8 << 20  # S3 refuses multipart parts below 5 MiB
SMALLEST_BYTES = 5 << 20  # of a part that is not the last
COPIES = 4  # parts at once that the store copies
UPLOADS = 1  # parts on their way while the next one is made: their memory is the reducer's
CONNECTIONS = 32  # at once: 28 lanes, two states before them, UPLOADS
CONNECTION = ("endpoint", "region", "bucket", "access_key", "secret_key")
SHOWN = 200  # characters of an address in an error
LISTED = 100  # keys: enough to know a folder by
KEY_BYTES = 1024  # S3's own limit
EXISTS = ("PreconditionFailed", "412", "ConditionalRequestConflict", "409")
ABSENT = ("NoSuchKey", "404", "NotFound")
DENIED = ("AccessDenied", "403", "Forbidden")
CLOSED = (*DENIED, "NoSuchBucket", "InvalidAccessKeyId", "SignatureDoesNotMatch")


@dataclass(frozen=True)
class Location:
    """A bucket and a key."""

    bucket: str
    key: str

    def __str__(self) -> str:
        return f"s3://{self.bucket}/{self.key}"


@cache  # a client costs more than a tenth of a second, a warm container keeps it
def connect(endpoint: str, region: str, access_key: str, secret_key: str) -> Any:
    """Return an S3 client; signature v4 and path addressing, which every S3-compatible server takes."""
    return boto3.client(
        "s3",
        endpoint_url=endpoint,
        region_name=region,
        aws_access_key_id=access_key,
        aws_secret_access_key=secret_key,
        config=Config(
            signature_version="s3v4",
            s3={"addressing_style": "path"},
            retries={"max_attempts": 5, "mode": "standard"},
            connect_timeout=10,
            read_timeout=60,
            max_pool_connections=CONNECTIONS,
        ),
    )


def error_code(error: ClientError) -> str:
    """Return S3's code of an error (`NoSuchKey`, or the HTTP status where the answer had no body)."""
    return str(error.response.get("Error", {}).get("Code", ""))


def sentence(at: Location, error: ClientError | BotoCoreError) -> str:
    """Say what happened to which object, without the request (which may hold a signature)."""
    if not isinstance(error, ClientError):
        return f"{at}: the object store does not answer: {type(error).__name__}"
    code = error_code(error)
    if code in ABSENT:
        return f"{at}: got no such object, expected an existing one"
    if code == "NoSuchBucket":
        return f"{at}: got no bucket {at.bucket}, expected an existing one"
    if code in DENIED:
        return f"{at}: access denied with the keys of this deployment"
    return f"{at}: the object store answered {code}: {error.response.get('Error', {}).get('Message', '')}"


def failed(at: Location, error: ClientError | BotoCoreError) -> StoreError:
    """Return what a call of the store ended with."""
    code = error_code(error) if isinstance(error, ClientError) else None
    kind = AbsentError if code in ABSENT else AccessError if code in CLOSED else StoreError
    return kind(sentence(at, error))


class Objects:
    """Objects of any bucket that the connection's keys open; turns the client's errors into sentences."""

    def __init__(self, connection: dict[str, str]) -> None:
        missing = [name for name in CONNECTION if not connection.get(name)]
        if missing:
            raise ParameterError(f"s3: {', '.join(missing)} not set, expected {', '.join(CONNECTION)}")
        self.client = connect(*(connection[name] for name in CONNECTION if name != "bucket"))
        self.bucket = connection["bucket"]

    def locate(self, text: str) -> Location:
        """Read `s3://bucket/key`, or a bare key in the default bucket."""
        match = re.fullmatch(r"s3://([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])/(.+)", text, re.DOTALL)
        key = match[2] if match else text
        odd = len(key.encode(errors="replace")) > KEY_BYTES or not key.isprintable()
        if odd or not key or (not match and ("://" in text or text.startswith("/"))):
            got = repr(text) if len(text) <= SHOWN else repr(text[:SHOWN]) + "..."
            raise ParameterError(f"got {got}, expected s3://bucket/key or a key in bucket {self.bucket}")
        return Location(match[1] if match else self.bucket, key)

    def head(self, at: Location) -> tuple[int, str]:
        """Return size in bytes and etag; raise StoreError when it cannot be read."""
        answer = self._call("head_object", at)
        return int(answer["ContentLength"]), str(answer["ETag"]).strip('"')

    def read(self, at: Location, begin: int = 0, end: int | None = None) -> bytes:
        """Return bytes begin..end (end not included; None: to the end)."""
        if end is not None and end <= begin:
            return b""
        try:
            return cast(bytes, self.open(at, begin, end).read())
        except BotoCoreError as error:
            raise failed(at, error) from error

    def open(self, at: Location, begin: int = 0, end: int | None = None) -> Any:
        """Return bytes begin..end as a file to read from."""
        span = {"Range": f"bytes={begin}-{'' if end is None else end - 1}"} if begin or end is not None else {}
        return self._call("get_object", at, **span)["Body"]

    def find(self, at: Location) -> bytes | None:
        """Return a whole object, or None where there is none."""
        try:
            return self.read(at)
        except StoreError as error:
            if isinstance(error.__cause__, ClientError) and error_code(error.__cause__) in ABSENT:
                return None
            raise

    def download(self, at: Location, path: Path) -> None:
        """Write an object to a file, in parts."""
        try:
            self.client.download_file(at.bucket, at.key, str(path))
        except (ClientError, BotoCoreError) as error:
            raise failed(at, error) from error

    def create(self, at: Location, body: bytes) -> bool:
        """Write a whole object unless the key exists; return whether this call wrote it."""
        return self._once(at, lambda: self.client.put_object(Bucket=at.bucket, Key=at.key, Body=body, IfNoneMatch="*"))

    def replace(self, at: Location, body: bytes) -> None:
        """Write a whole object, whether or not the key exists."""
        self._call("put_object", at, Body=body)

    def create_from(self, at: Location, parts: Iterator[bytes]) -> bool:
        """Like create, streaming: `parts` are at least PART_BYTES long but for the last."""
        first = next(parts, b"")
        if len(first) < PART_BYTES:
            return self.create(at, first)
        every = chain([first], parts)
        del first  # or its memory is held until the last part is sent
        upload = self._call("create_multipart_upload", at)["UploadId"]
        return self._finish(at, upload, lambda: self._send(at, upload, every))

    def compose(self, at: Location, sources: Sequence[Location]) -> bool:
        """Like create, of other objects' bytes one after the other, which the store copies.

        All but the last have at least SMALLEST_BYTES, none more than 5 GB.
        """
        upload = self._call("create_multipart_upload", at)["UploadId"]
        return self._finish(at, upload, lambda: self._copied(at, upload, sources))

    def unfinished(self, prefix: str) -> list[tuple[Location, str]]:
        """Return the multipart uploads of the default bucket below a prefix that nobody has ended, and their ids."""
        try:
            answer = self.client.list_multipart_uploads(Bucket=self.bucket, Prefix=prefix)
        except (ClientError, BotoCoreError) as error:
            raise failed(Location(self.bucket, prefix), error) from error
        return [(Location(self.bucket, item["Key"]), item["UploadId"]) for item in answer.get("Uploads", [])]

    def abort(self, at: Location, upload: str) -> None:
        """End a multipart upload without an object."""
        self._call("abort_multipart_upload", at, UploadId=upload)

    def copy(self, at: Location, to: Location) -> bool:
        """Copy an object within the store; return whether there was one."""
        try:
            self._call("copy_object", to, CopySource={"Bucket": at.bucket, "Key": at.key})
        except AbsentError:
            return False
        return True

    def delete(self, at: Location) -> None:
        """Delete an object; deleting what is not there is fine."""
        self._call("delete_object", at)

    def sizes(self, prefix: str, bucket: str | None = None) -> dict[str, int]:
        """Return {key: size} of all keys of a bucket, by default the deployment's, below a prefix."""
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=bucket or self.bucket, Prefix=prefix)
        try:
            return {item["Key"]: int(item["Size"]) for page in pages for item in page.get("Contents", [])}
        except (ClientError, BotoCoreError) as error:
            raise failed(Location(bucket or self.bucket, prefix), error) from error

    def folders(self, prefix: str) -> list[str]:
        """Return the folders directly below a prefix of the default bucket."""
        paginator = self.client.get_paginator("list_objects_v2")
        try:
            pages = list(paginator.paginate(Bucket=self.bucket, Prefix=prefix, Delimiter="/"))
        except (ClientError, BotoCoreError) as error:
            raise failed(Location(self.bucket, prefix), error) from error
        return [item["Prefix"] for page in pages for item in page.get("CommonPrefixes", [])]

    def below(self, at: Location) -> list[str]:
        """Return some keys of any bucket below a prefix, none where it cannot be listed."""
        try:
            page = self.client.list_objects_v2(Bucket=at.bucket, Prefix=at.key, MaxKeys=LISTED)
        except (ClientError, BotoCoreError):
            return []
        return [item["Key"] for item in page.get("Contents", [])]

    def presign_get(self, at: Location) -> str:
        """Return a URL that reads this one object for URL_SECONDS."""
        return self._presign("get_object", at)

    def presign_put(self, at: Location) -> str:
        """Return a URL that creates this one object, once: the condition is part of the signature."""
        return self._presign("put_object", at, IfNoneMatch="*")

    def _presign(self, method: str, at: Location, **extra: str) -> str:
        where = {"Bucket": at.bucket, "Key": at.key, **extra}
        return str(self.client.generate_presigned_url(method, Params=where, ExpiresIn=URL_SECONDS))

    def _finish(self, at: Location, upload: str, send: Callable[[], list[dict[str, Any]]]) -> bool:
        """Complete an upload of what is sent, unless the key exists; abort it where that fails."""
        written = False
        try:
            done = send()
            written = self._once(at, lambda: self._complete(at, upload, done))
        finally:
            if not written:
                self.client.abort_multipart_upload(Bucket=at.bucket, Key=at.key, UploadId=upload)
        return written

    def _copied(self, at: Location, upload: str, sources: Sequence[Location]) -> list[dict[str, Any]]:
        """Let the store copy the parts of an upload, COPIES at a time."""

        def copied(number: int, source: Location) -> dict[str, Any]:
            copy = {"Bucket": source.bucket, "Key": source.key}
            answer = self._call("upload_part_copy", at, UploadId=upload, PartNumber=number, CopySource=copy)
            return {"PartNumber": number, "ETag": answer["CopyPartResult"]["ETag"]}

        with ThreadPoolExecutor(COPIES) as pool:
            return list(pool.map(copied, range(1, len(sources) + 1), sources))

    def _send(self, at: Location, upload: str, parts: Iterable[bytes]) -> list[dict[str, Any]]:
        """Upload parts, UPLOADS at a time while the next one is made."""
        sent: list[Future[dict[str, Any]]] = []
        with ThreadPoolExecutor(UPLOADS) as pool:
            for number, body in enumerate(parts, 1):
                if number > UPLOADS:
                    sent[-UPLOADS].result()
                sent.append(pool.submit(self._part, at, upload, number, body))
            return [part.result() for part in sent]

    def _part(self, at: Location, upload: str, number: int, body: bytes) -> dict[str, Any]:
        answer = self._call("upload_part", at, UploadId=upload, PartNumber=number, Body=body)
        return {"PartNumber": number, "ETag": answer["ETag"]}

    def _complete(self, at: Location, upload: str, parts: list[dict[str, Any]]) -> None:
        self.client.complete_multipart_upload(
            Bucket=at.bucket, Key=at.key, UploadId=upload, MultipartUpload={"Parts": parts}, IfNoneMatch="*"
        )

    def _once(self, at: Location, write: Callable[[], object]) -> bool:
        try:
            write()
        except ClientError as error:
            if error_code(error) in EXISTS:
                return False
            raise failed(at, error) from error
        except BotoCoreError as error:
            raise failed(at, error) from error
        return True

    def _call(self, method: str, at: Location, **extra: Any) -> Any:
        try:
            return getattr(self.client, method)(Bucket=at.bucket, Key=at.key, **extra)
        except (ClientError, BotoCoreError) as error:
            raise failed(at, error) from error
