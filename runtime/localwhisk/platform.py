"""The running parts of one localwhisk, as the API's handlers see them."""

from dataclasses import dataclass

import aiohttp

from localwhisk.definitions import Definitions
from localwhisk.dispatcher import Dispatcher
from localwhisk.kinds import Kinds
from localwhisk.limits import Throttles
from localwhisk.settings import Settings
from localwhisk.store import ActivationStore, EntityStore


@dataclass(frozen=True)
class Platform:
    """Built by the server, read by every handler."""

    settings: Settings
    key: str
    kinds: Kinds
    entities: EntityStore
    records: ActivationStore
    definitions: Definitions
    throttles: Throttles
    dispatcher: Dispatcher
    client: aiohttp.ClientSession
