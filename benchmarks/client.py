"""OpenWhisk's REST API, as far as measurements need it: quicker and more exact than a wsk process a question."""

import base64
import json
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping
from typing import Any

POLL_SECONDS = 0.1
PAGE = 200  # the most records that one list holds


class Client:
    """One namespace of one OpenWhisk."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._base = f"{environment['APIHOST']}/api/v1/namespaces/_/"
        key = base64.b64encode(environment["AUTH"].encode()).decode()
        self._headers = {"Authorization": f"Basic {key}", "Content-Type": "application/json"}

    def create(self, name: str, execution: dict[str, Any], memory: int, timeout: int) -> None:
        """Create or replace an action; memory in MB, timeout in milliseconds."""
        limits = {"memory": memory, "timeout": timeout}
        self._send("PUT", f"actions/{name}?overwrite=true", {"exec": execution, "limits": limits})

    def invoke(self, name: str, params: Mapping[str, Any]) -> str:
        """Start an activation; return its id."""
        return str(self._send("POST", f"actions/{name}", params)["activationId"])

    def wait(self, activation: str, seconds: float) -> dict[str, Any]:
        """Return an activation's record as soon as there is one; TimeoutError after so many seconds."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            try:
                return dict(self._send("GET", f"activations/{activation}"))
            except urllib.error.HTTPError as error:
                if error.code != 404:
                    raise
            time.sleep(POLL_SECONDS)
        raise TimeoutError(f"activation {activation}: no record after {seconds:.0f} s")

    def records(self, since: float) -> Iterator[dict[str, Any]]:
        """Yield the records of activations that started at `since` (epoch seconds) or later."""
        skip = 0
        while page := self._page(since, skip):
            yield from page
            skip += len(page)

    def _page(self, since: float, skip: int) -> list[dict[str, Any]]:
        query = {"docs": "true", "limit": PAGE, "skip": skip, "since": int(since * 1000)}
        found: list[dict[str, Any]] = self._send("GET", f"activations?{urllib.parse.urlencode(query)}")
        return found

    def _send(self, method: str, path: str, body: Any = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self._base + path, data, self._headers, method=method)
        with urllib.request.urlopen(request) as answer:
            return json.load(answer)
