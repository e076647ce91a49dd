"""What the command line decides: places, limits and images; every part gets its numbers from here."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

RUNTIME = Path(__file__).resolve().parent.parent
PAYLOAD_LIMIT = 1_048_576  # whisk.activation.payload.max; also the limit of parameters and annotations
CODE_LIMIT = 48 * 1_048_576  # Exec.maxSize
BODY_LIMIT = 50 * 1_048_576  # pekko.http.server.parsing.max-content-length
BLOCKING_WAIT_MS = 60_000  # whisk.controller.activation.max-wait-for-blocking-activation
LIST_DEFAULT, LIST_MAX = 30, 200  # whisk.query-limit
MIN_MEMORY, STD_MEMORY = 128, 256  # MB, whisk.memory
MIN_TIMEOUT, STD_TIMEOUT = 100, 60_000  # ms, whisk.time-limit
MAX_LOGS, STD_LOGS = 10, 10  # MB, whisk.log-limit


@dataclass(frozen=True)
class ImageSource:
    """Where an image's interpreter is, and what the image itself sets in a container's environment."""

    venv: Path
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Settings:
    """One running localwhisk; the defaults are Apache OpenWhisk's own."""

    state: Path
    host: str = "127.0.0.1"
    port: int = 0
    user_memory: int = 1024  # MB, whisk.container-pool.user-memory
    user_cpus: float | None = None
    max_memory: int = 512  # MB
    max_timeout: int = 300_000  # ms
    invocations_per_minute: int = 60
    fires_per_minute: int = 60
    concurrent: int = 30
    sequence_length: int = 50
    runtimes: Path = RUNTIME / "image" / "runtimes.json"
    images: dict[str, ImageSource] = field(default_factory=dict)
    python_proxy: Path = RUNTIME / "image" / "proxy.py"
    node_proxy: Path = RUNTIME / "localwhisk" / "node" / "proxy.js"

    @property
    def containers(self) -> Path:
        return self.state / "containers"

    def address(self) -> str:
        return f"http://{self.host}:{self.port}"
