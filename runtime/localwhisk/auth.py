"""Who calls: the one key of namespace `guest`, kept in the state folder's wskprops file."""

import base64
import binascii
import hmac
import secrets
import string
import uuid
from pathlib import Path

from localwhisk.errors import BAD_CREDENTIALS, CHALLENGE, NO_CREDENTIALS, RejectionError

GUEST = "guest"
SYSTEM = "whisk.system"  # the catalog's namespace: everyone may read and invoke, nobody may write


def load_key(wskprops: Path) -> str:
    """The key of an earlier start of this state, or a new random one."""
    if wskprops.exists():
        for line in wskprops.read_text().splitlines():
            if line.startswith("AUTH="):
                return line.removeprefix("AUTH=")
    letters = string.ascii_letters + string.digits
    return f"{uuid.uuid4()}:{''.join(secrets.choice(letters) for _ in range(64))}"


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner may read, from its first byte on."""
    fresh = path.with_name(path.name + ".new")
    fresh.unlink(missing_ok=True)
    fresh.touch(mode=0o600)
    fresh.write_text(text)
    fresh.replace(path)


def write_wskprops(path: Path, address: str, key: str) -> None:
    write_private(path, f"APIHOST={address}\nAUTH={key}\nAPIVERSION=v1\n")


def basic(key: str) -> str:
    """The Authorization header's value for this key."""
    return "Basic " + base64.b64encode(key.encode()).decode()


def is_caller(header: str | None, key: str) -> bool:
    """Whether the header carries the key; no header at all is not an error yet."""
    if header is None or not header.lower().startswith("basic "):
        return False
    try:
        given = base64.b64decode(header[6:].strip(), validate=True)
    except binascii.Error:
        return False
    return hmac.compare_digest(given, key.encode())


def authenticate(header: str | None, key: str) -> None:
    """Refuse a request without the key."""
    if header is None:
        raise RejectionError(401, NO_CREDENTIALS, CHALLENGE)
    if not is_caller(header, key):
        raise RejectionError(401, BAD_CREDENTIALS, CHALLENGE)
