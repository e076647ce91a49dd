"""Which buckets a run's inputs may lie in: dataset, model, config and validation; used by the planner."""

import posixpath
import re
from typing import Any

from common.errors import ParameterError
from common.storage.objects import Location, Objects

RUNS = "/runs/"  # what the deployment's runs keep; no upload may read it


class Inputs(Objects):
    """The store, for addresses that a user gives.

    `buckets` (DL_READS: names, parted by commas or spaces) are all that may be read; empty: all that the keys open, and
    for an upload the deployment's own. An upload is anybody's who may write to datasets/: it reads no run's state.
    """

    def __init__(self, connection: dict[str, str], buckets: str, uploaded: bool) -> None:
        super().__init__(connection)
        self.uploaded = uploaded
        named = frozenset(re.findall(r"[^\s,]+", buckets))
        self.buckets = named or (frozenset([self.bucket]) if uploaded else None)

    def locate(self, text: str) -> Location:
        """Read an address as Objects does; ParameterError for one that may not be read."""
        at = super().locate(text)
        if self.buckets is not None and at.bucket not in self.buckets:
            raise ParameterError(f"got bucket {at.bucket}, expected {' or '.join(sorted(self.buckets))}")
        if self.uploaded and at.bucket == self.bucket and posixpath.normpath(f"/{at.key}").startswith(RUNS):
            raise ParameterError(f"got {at}, expected nothing below runs/ as an upload asks for it")
        return at


def inputs(args: dict[str, Any]) -> Inputs:
    """Return the inputs' store as the planner is given it."""
    return Inputs(args["s3"], str(args.get("reads") or ""), bool(args.get("uploaded")))
