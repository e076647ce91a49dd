"""SQLite under the state folder: entities and activations, which survive a kill of the process."""

import json
import sqlite3
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from localwhisk.activations import WHISK_ERROR, Record, failure
from localwhisk.names import Name

SCHEMA = """
CREATE TABLE IF NOT EXISTS entities (
    name TEXT PRIMARY KEY, collection TEXT NOT NULL, path TEXT NOT NULL, updated INTEGER NOT NULL,
    document TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS activations (
    id TEXT PRIMARY KEY, namespace TEXT NOT NULL, name TEXT NOT NULL, path TEXT NOT NULL, start INTEGER NOT NULL,
    document TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS activations_by_start ON activations (namespace, start);
CREATE TABLE IF NOT EXISTS unfinished (
    id TEXT PRIMARY KEY, path TEXT NOT NULL, document TEXT NOT NULL, answered INTEGER NOT NULL DEFAULT 0
);
"""
LOST = "The activation was lost: localwhisk ended while it ran."


def open_database(path: Path) -> sqlite3.Connection:
    """A database whose commits outlive the process; only a power cut may cost the last ones."""
    database = sqlite3.connect(path, isolation_level=None)
    database.execute("PRAGMA journal_mode=WAL")
    database.execute("PRAGMA synchronous=NORMAL")
    database.executescript(SCHEMA)
    return database


@dataclass(frozen=True)
class Entity:
    """A stored document and the collection it belongs to; names are unique over all collections."""

    name: Name
    collection: str
    document: dict[str, Any]


class EntityStore:
    """Actions, packages, triggers and rules; all in memory, written through."""

    def __init__(self, database: sqlite3.Connection) -> None:
        self._database = database
        self._entities: dict[Name, Entity] = {}
        for path, name, collection, text in database.execute("SELECT path, name, collection, document FROM entities"):
            full = Name(path, name.removeprefix(f"{path}/"))
            self._entities[full] = Entity(full, collection, json.loads(text))

    def get(self, name: Name) -> Entity | None:
        return self._entities.get(name)

    def put(self, collection: str, name: Name, document: dict[str, Any]) -> None:
        self._entities[name] = Entity(name, collection, document)
        row = (str(name), collection, name.path, document["updated"], json.dumps(document))
        self._database.execute("INSERT OR REPLACE INTO entities VALUES (?, ?, ?, ?, ?)", row)

    def delete(self, name: Name) -> None:
        del self._entities[name]
        self._database.execute("DELETE FROM entities WHERE name = ?", (str(name),))

    def list(self, collection: str, path: str) -> list[Entity]:
        """Entities under a namespace or package, the latest first."""
        found = [
            entity
            for entity in self._entities.values()
            if entity.collection == collection and (entity.name.path == path or entity.name.path.startswith(f"{path}/"))
        ]
        return sorted(found, key=lambda entity: int(entity.document["updated"]), reverse=True)


@dataclass(frozen=True)
class ActivationQuery:
    """What a list of activations is narrowed to; times in epoch milliseconds."""

    name: str | None
    since: int | None
    upto: int | None


class ActivationStore:
    """Finished activations, and which ones run, so that a successor can say that they were lost."""

    def __init__(self, database: sqlite3.Connection) -> None:
        self._database = database
        self._close_lost()

    def begin(self, record: Record) -> None:
        row = (record.id, record.path, json.dumps(record.document()))
        self._database.execute("INSERT INTO unfinished (id, path, document) VALUES (?, ?, ?)", row)

    def answered(self, record: Record) -> None:
        """Note the result that its caller gets before the logs are there: a kill in between must not lose it."""
        row = (json.dumps(record.document()), record.id)
        self._database.execute("UPDATE unfinished SET document = ?, answered = 1 WHERE id = ?", row)

    def finish(self, record: Record) -> None:
        with self._transaction():
            self._insert(record.path, record.document())
            self._database.execute("DELETE FROM unfinished WHERE id = ?", (record.id,))

    def get(self, namespace: str, activation: str) -> dict[str, Any] | None:
        query = "SELECT document FROM activations WHERE id = ? AND namespace = ?"
        row = self._database.execute(query, (activation, namespace)).fetchone()
        return json.loads(row[0]) if row else None

    def list(self, namespace: str, query: ActivationQuery, skip: int, limit: int) -> list[dict[str, Any]]:
        where, values = _where(namespace, query)
        statement = f"SELECT document FROM activations WHERE {where} ORDER BY start DESC, rowid DESC LIMIT ? OFFSET ?"
        return [json.loads(row[0]) for row in self._database.execute(statement, (*values, limit, skip))]

    def count(self, namespace: str, query: ActivationQuery, skip: int) -> int:
        where, values = _where(namespace, query)
        (total,) = self._database.execute(f"SELECT COUNT(*) FROM activations WHERE {where}", values).fetchone()
        return max(0, int(total) - skip)

    def _transaction(self) -> sqlite3.Connection:
        self._database.execute("BEGIN")
        return self._database

    def _insert(self, path: str, document: dict[str, Any]) -> None:
        row = (document["activationId"], document["namespace"], document["name"], path, document["start"])
        self._database.execute("INSERT INTO activations VALUES (?, ?, ?, ?, ?, ?)", (*row, json.dumps(document)))

    def _close_lost(self) -> None:
        with self._transaction():
            query = "SELECT path, document, answered FROM unfinished"
            for path, text, answered in self._database.execute(query).fetchall():
                document = json.loads(text)
                if not answered:
                    document |= {"end": document["start"], "duration": 0}
                    document["response"] = failure(WHISK_ERROR, LOST).document()
                self._insert(path, document)
            self._database.execute("DELETE FROM unfinished")


def _where(namespace: str, query: ActivationQuery) -> tuple[str, list[Any]]:
    """The condition and its values."""
    clauses, values = ["namespace = ?"], [namespace]  # type: tuple[list[str], list[Any]]
    if query.name is not None:
        # the name alone means an action without a package; whatever namespace owns the package
        clauses.append("substr(path, instr(path, '/') + 1) = ?")
        values.append(query.name)
    if query.since is not None:
        clauses.append("start >= ?")
        values.append(query.since)
    if query.upto is not None:
        clauses.append("start <= ?")
        values.append(query.upto)
    return " AND ".join(clauses), values
