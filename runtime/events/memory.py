"""Which uploads were passed on: one small file, so that a restart passes on no more than what came meanwhile."""

import json
import os
from collections.abc import Collection
from pathlib import Path

from events.bucket import Upload


class Memory:
    """Version of each key that was passed on last."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._held: dict[str, str] = json.loads(path.read_text()) if path.exists() else {}

    def holds(self, upload: Upload) -> bool:
        """Tell whether this very upload was passed on."""
        return self._held.get(upload.key) == upload.version

    def add(self, upload: Upload) -> None:
        """Keep that it was passed on."""
        self._write(self._held | {upload.key: upload.version})

    def forget_others(self, uploads: Collection[Upload]) -> None:
        """Keep nothing of keys that are gone from the bucket."""
        keys = {upload.key for upload in uploads}
        if self._held.keys() - keys:
            self._write({key: version for key, version in self._held.items() if key in keys})

    def _write(self, held: dict[str, str]) -> None:
        """Replace the file whole, for its owner's eyes alone."""
        new = self._path.with_name(self._path.name + ".new")
        new.unlink(missing_ok=True)
        with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            json.dump(held, file, indent=1)
            file.flush()
            os.fsync(file.fileno())
        new.replace(self._path)
        self._held = held
