"""The part of OpenWhisk's catalog that is always there: `/whisk.system/utils/echo`, which composer's own joins call."""

from localwhisk.auth import SYSTEM
from localwhisk.definitions import Definitions
from localwhisk.entities import base
from localwhisk.names import Name
from localwhisk.store import EntityStore

PACKAGE = Name(SYSTEM, "utils")
KIND = "nodejs:default"
ECHO = "function main(params) {\n  console.log(params)\n  return params || {}\n}\n"


def install(entities: EntityStore, definitions: Definitions) -> None:
    """Put the catalog where an earlier start has not."""
    if entities.get(PACKAGE) is None:
        description = [{"key": "description", "value": "Building blocks that format and assemble data"}]
        document = base(PACKAGE, {"publish": True}, None, description) | {"binding": {}, "parameters": []}
        entities.put("packages", PACKAGE, document)
    echo = Name(str(PACKAGE), "echo")
    if entities.get(echo) is None and definitions.supports(KIND):
        content = {
            "exec": {"kind": KIND, "code": ECHO},
            "annotations": [{"key": "description", "value": "Returns the input"}],
            "publish": True,
        }
        entities.put("actions", echo, definitions.action(echo, content, None))
