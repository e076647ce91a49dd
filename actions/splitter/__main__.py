"""Splitter: writes the run's shards and held-out sets; called again while `pending`."""

import os
import time
from typing import Any

from common.beat import beating
from common.errors import classified
from common.run import Run
from common.split import split
from common.store import Objects


@classified
def main(args: dict[str, Any]) -> dict[str, Any]:
    """Return whether the split needs another call."""
    this = Run(Objects(args["s3"]), args["run"])
    deadline = float(os.environ.get("__OW_DEADLINE", (time.time() + 300) * 1000)) / 1000
    with beating(this):
        return {"run": this.name, "pending": not split(this, this.plan(), deadline)}
