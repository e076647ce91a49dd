"""Records of activations: what became of one run of an action, a sequence, a composition or a trigger."""

import secrets
import time
from dataclasses import dataclass, field
from typing import Any

SUCCESS, APPLICATION_ERROR, DEVELOPER_ERROR, WHISK_ERROR = range(4)
STATUS = ("success", "application error", "action developer error", "whisk internal error")


def new_id() -> str:
    return secrets.token_hex(16)


def now_ms() -> int:
    return int(time.time() * 1000)


@dataclass(frozen=True)
class Response:
    """Result of an activation; `size` is known only when a container answered."""

    code: int
    result: Any
    size: int | None = None

    def document(self) -> dict[str, Any]:
        document = {"result": self.result, "status": STATUS[self.code], "success": self.code == SUCCESS}
        return document if self.size is None else {**document, "size": self.size}


def failure(code: int, error: Any, size: int | None = None) -> Response:
    return Response(code, {"error": error}, size)


@dataclass
class Record:
    """One activation's record; `end` and `duration` are missing for triggers."""

    id: str
    namespace: str
    name: str
    version: str
    start: int
    response: Response
    path: str = ""  # namespace/[package/]name by which it is looked for
    end: int | None = None
    duration: int | None = None
    cause: str | None = None
    annotations: dict[str, Any] = field(default_factory=dict)
    logs: list[str] = field(default_factory=list)

    def document(self) -> dict[str, Any]:
        """As `GET activations/<id>` shows it."""
        document: dict[str, Any] = {
            "activationId": self.id,
            "annotations": [{"key": key, "value": value} for key, value in self.annotations.items()],
            "logs": self.logs,
            "name": self.name,
            "namespace": self.namespace,
            "publish": False,
            "response": self.response.document(),
            "start": self.start,
            "subject": self.namespace,
            "version": self.version,
        }
        optional = {"cause": self.cause, "duration": self.duration, "end": self.end}
        return document | {key: value for key, value in optional.items() if value is not None}

    def memory(self) -> int:
        """The memory its limits annotation names, for the maximum over a sequence or composition."""
        limits = self.annotations.get("limits", {})
        return int(limits.get("memory", 0))


def summary(document: dict[str, Any]) -> dict[str, Any]:
    """As a list shows a record."""
    short = {key: value for key, value in document.items() if key not in ("logs", "response", "subject")}
    return short | {"statusCode": STATUS.index(document["response"]["status"])}
