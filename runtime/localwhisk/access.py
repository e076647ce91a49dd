"""What a caller may use: its own actions, and those of packages that are its own or published."""

from collections.abc import Iterable

from localwhisk.actions import is_truthy
from localwhisk.errors import WRONG_COLLECTION, RequestError, not_authorized, not_found
from localwhisk.names import Name
from localwhisk.store import EntityStore


def check(store: EntityStore, names: Iterable[Name], caller: str) -> None:
    """Refuse actions that the caller may not use; whether there are such actions is not asked."""
    refused = sorted({str(name) for name in names if not may_use(store, name, caller)})
    if refused:
        raise not_authorized(", ".join(refused))


def may_use(store: EntityStore, name: Name, caller: str) -> bool:
    """Whether the caller may use an action of this name; refused where its package is missing and its own."""
    package = name.package
    return name.namespace == caller if package is None else may_read(store, package, caller)


def may_read(store: EntityStore, package: Name, caller: str) -> bool:
    """Whether the package is the caller's or published, or the caller's binding to such a one."""
    own = package.namespace == caller
    entity = store.get(package)
    if entity is None or entity.collection != "packages":
        if not own:  # whether another's exists is none of the caller's business
            return False
        raise not_found() if entity is None else RequestError(409, WRONG_COLLECTION)
    binding = entity.document["binding"]
    if not binding:
        return own or is_truthy(entity.document["publish"])
    return own and may_read(store, Name(binding["namespace"], binding["name"]), caller)
