"""Files through presigned URLs, for actions that hold no key of the store; used by the trainer."""

import base64
import hashlib
import json
import re
import tempfile
from pathlib import Path
from urllib.parse import urlsplit

import urllib3
from urllib3.exceptions import HTTPError

from common.errors import TransferError
from common.storage import state
from common.storage.state import Tensors

PIECE = 1 << 20
# Any method may be repeated: a PUT whose answer was lost finds its own object and gets 412.
RETRY = urllib3.Retry(
    total=4, backoff_factor=0.3, status_forcelist=(429, 500, 502, 503, 504), allowed_methods=None, raise_on_status=False
)
BODY_ATTEMPTS = 3  # Retry does not see a connection that breaks inside a body
POOL = urllib3.PoolManager(retries=RETRY, timeout=urllib3.Timeout(connect=10, read=60))


def fetch(url: str, path: Path, etag: str | None = None) -> str:
    """Download to a file, whole or not at all, and return its etag; if an etag is given, only when it has changed."""
    for attempt in range(1, BODY_ATTEMPTS + 1):
        try:
            return _fetch(url, path, etag)
        except HTTPError as error:
            if attempt == BODY_ATTEMPTS:
                raise TransferError(f"GET {_shown(url)}: {_reason(error)} ({attempt} attempts)") from None
    raise AssertionError("the loop above returns or raises")


def put(url: str, path: Path, digest: bytes | None = None) -> bool:
    """Upload a file, whose MD5 may be known, as a new object, whole or not at all; False when it exists already.

    Without the digest, a server may keep what came before the connection broke: versitygw does.
    """
    text = base64.b64encode(digest or md5(path)).decode()  # RFC 1864
    headers = {"If-None-Match": "*", "Content-Length": str(path.stat().st_size), "Content-MD5": text}
    try:
        with path.open("rb") as file:
            answer = POOL.request("PUT", url, body=file, headers=headers)
    except HTTPError as error:
        raise TransferError(f"PUT {_shown(url)}: {_reason(error)}") from None
    if answer.status not in (200, 201, 412):
        raise TransferError(_refusal("PUT", url, answer.status, answer.data))
    return answer.status != 412


def md5(path: Path) -> bytes:
    """Return a file's MD5."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).digest()


def fetch_state(url: str) -> tuple[Tensors, dict[str, str]]:
    """Download a model state."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "state.safetensors"
        fetch(url, path)
        return state.load(path)


def put_state(url: str, tensors: Tensors, metadata: dict[str, str]) -> bool:
    """Upload a model state as a new object; False when the object exists already."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "state.safetensors"
        state.save(path, tensors, metadata)
        return put(url, path)


def put_json(url: str, document: object) -> bool:
    """Upload a small document as a new object; False when the object exists already."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "document.json"
        path.write_text(json.dumps(document))
        return put(url, path)


def _fetch(url: str, path: Path, etag: str | None) -> str:
    answer = POOL.request("GET", url, headers={"If-None-Match": etag} if etag else {}, preload_content=False)
    try:
        if answer.status == 304 and etag:
            return etag
        if answer.status != 200:
            raise TransferError(_refusal("GET", url, answer.status, answer.read()))
        partial = path.with_name(path.name + ".part")
        with partial.open("wb") as file:
            for piece in answer.stream(PIECE):
                file.write(piece)
        expected = answer.headers.get("Content-Length")
        if expected is None or partial.stat().st_size != int(expected):
            raise TransferError(f"GET {_shown(url)}: got {partial.stat().st_size} bytes, expected {expected}")
        partial.rename(path)
        return str(answer.headers.get("ETag", ""))
    finally:
        answer.release_conn()


def _shown(url: str) -> str:
    """The URL without its query, which is a key to the object."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}{parts.path}"


def _reason(error: HTTPError) -> str:
    cause = getattr(error, "reason", None)
    return type(cause if isinstance(cause, Exception) else error).__name__


def _refusal(method: str, url: str, status: int, body: bytes) -> str:
    text = body.decode(errors="replace")
    said = " ".join(re.findall(r"<(?:Code|Message)>([^<]*)</", text))
    return f"{method} {_shown(url)}: got status {status} {said}".rstrip() + ", expected 200"
