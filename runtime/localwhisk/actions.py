"""Actions as they are invoked: the stored document with its package's and binding's parameters merged in."""

import hashlib
import json
from dataclasses import dataclass, replace
from typing import Any

from localwhisk.errors import not_found
from localwhisk.names import Name
from localwhisk.store import Entity, EntityStore

KeyValues = list[dict[str, Any]]


def is_truthy(value: Any) -> bool:
    """OpenWhisk's truth of an annotation: anything but false, 0, "", null."""
    return value not in (None, False, 0, "")


def merge(base: KeyValues, over: KeyValues) -> KeyValues:
    """Parameters of both, the second's where both have them."""
    return list({entry["key"]: entry for entry in [*base, *over]}.values())


@dataclass(frozen=True)
class Action:
    """An action ready to be invoked."""

    name: Name
    document: dict[str, Any]
    parameters: KeyValues
    binding: str | None = None

    @property
    def limits(self) -> dict[str, int]:
        limits: dict[str, int] = self.document["limits"]
        return limits

    @property
    def timeout(self) -> float:
        """Seconds that /init and /run may each take."""
        return self.limits["timeout"] / 1000

    @property
    def kind(self) -> str:
        return str(self.document["exec"]["kind"])

    @property
    def components(self) -> list[str] | None:
        """Names of a sequence's actions; None for anything that runs in a container."""
        return self.document["exec"]["components"] if self.kind == "sequence" else None

    @property
    def is_conductor(self) -> bool:
        return self.kind != "sequence" and is_truthy(self.annotation("conductor"))

    @property
    def digest(self) -> str:
        """Equal for equal actions: containers are reused by it."""
        return str(self.document["digest"])

    @property
    def path(self) -> str:
        """Where its activations are looked for: the binding's, where it was called through one."""
        return str(self.name) if self.binding is None else f"{self.binding}/{self.name.name}"

    def annotation(self, key: str) -> Any:
        return next((entry["value"] for entry in self.document["annotations"] if entry["key"] == key), None)

    def final_parameters(self) -> set[str]:
        """Parameters a caller may not override."""
        if not is_truthy(self.annotation("final")):
            return set()
        return {entry["key"] for entry in self.parameters if entry["value"] is not None}

    def arguments(self, payload: Any) -> tuple[Any, dict[str, str]]:
        """What /run gets, and what /init's environment gets, of parameters and payload; an array comes alone."""
        if isinstance(payload, list):
            return payload, {}
        merged = {entry["key"]: entry["value"] for entry in self.parameters} | (payload or {})
        initial = {entry["key"] for entry in self.parameters if entry.get("init")}
        environment = {key: _environment_text(value) for key, value in merged.items() if key in initial}
        return {key: value for key, value in merged.items() if key not in initial}, environment


def digest(document: dict[str, Any]) -> str:
    """Of everything that makes two actions equal; not the time of the update."""
    equal = {key: value for key, value in document.items() if key not in ("updated", "digest")}
    return hashlib.sha256(json.dumps(equal, sort_keys=True).encode()).hexdigest()


def resolve(store: EntityStore, name: Name) -> Action:
    """The action of this name, through a binding where its package is one; refused where there is none."""
    package = name.package
    if package is None:
        return _plain(_action(store, name))
    entity = store.get(package)
    if entity is None or entity.collection != "packages":
        raise not_found()
    provider, parameters = provider_of(store, entity)
    action = _plain(_action(store, Name(str(provider), name.name)))
    binding = str(entity.name) if provider != entity.name else None
    return replace(action, parameters=merge(parameters, action.parameters), binding=binding)


def provider_of(store: EntityStore, package: Entity) -> tuple[Name, KeyValues]:
    """The package that holds the actions, and the parameters they inherit; through one binding at most."""
    binding = package.document["binding"]
    if not binding:
        return package.name, package.document["parameters"]
    provider = store.get(Name(binding["namespace"], binding["name"]))
    if provider is None or provider.collection != "packages":
        raise not_found()
    return provider.name, merge(provider.document["parameters"], package.document["parameters"])


def _action(store: EntityStore, name: Name) -> Entity:
    entity = store.get(name)
    if entity is None or entity.collection != "actions":
        raise not_found()
    return entity


def _plain(entity: Entity) -> Action:
    return Action(entity.name, entity.document, entity.document["parameters"])


def _environment_text(value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, separators=(",", ":"))
