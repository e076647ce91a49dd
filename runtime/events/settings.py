"""What the relay is told by its environment: secrets stand neither in its arguments nor in its log."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self
from urllib.parse import unquote, urlsplit

NAMES = ("APIHOST", "AUTH", "S3_ENDPOINT", "S3_REGION", "S3_BUCKET", "S3_ACCESS_KEY", "S3_SECRET_KEY")


class SettingsError(Exception):
    """A setting that is missing or wrong, in one sentence."""


@dataclass(frozen=True)
class Settings:
    """Where the relay listens, what it looks at, and whom it tells."""

    host: str
    port: int
    credentials: str  # user:password of the S3 server's webhook
    state: Path
    api: str
    key: str
    endpoint: str
    region: str
    bucket: str
    access_key: str
    secret_key: str

    @classmethod
    def of(cls, environment: Mapping[str, str]) -> Self:
        """Read the settings; EVENTS_URL is what the S3 server is given as its webhook."""
        unset = [name for name in (*NAMES, "EVENTS_URL", "EVENTS_STATE") if not environment.get(name)]
        if unset:
            raise SettingsError(f"not set: {', '.join(unset)}")
        url = urlsplit(environment["EVENTS_URL"])
        if url.scheme != "http" or not (url.hostname and url.port and url.username and url.password):
            raise SettingsError("EVENTS_URL: got something else, expected http://user:password@host:port/")
        api, key, *store = (environment[name] for name in NAMES)
        return cls(
            url.hostname,
            url.port,
            f"{unquote(url.username)}:{unquote(url.password)}",
            Path(environment["EVENTS_STATE"]),
            (api if "://" in api else f"https://{api}").rstrip("/"),
            key,
            *store,
        )
