"""The tables of a PostgreSQL store, as Alembic compares them with what its migrations made."""

from typing import Any

import sqlalchemy as sa

SCHEMA = "0008"
"""The revision of the newest migration: what this Remit reads and writes."""

metadata = sa.MetaData()

_BYTES, _INT = sa.LargeBinary, sa.BigInteger
_ID = sa.Text(collation="C")
"""Ids compare as bytes, as they do in SQLite: what is oldest by id must not depend on the server's language."""


def _table(name: str, *columns: sa.Column[Any] | sa.Index) -> sa.Table:
    return sa.Table(name, metadata, *columns)


def _key(name: str, kind: Any = _ID) -> sa.Column[Any]:
    return sa.Column(name, kind, primary_key=True, autoincrement=False)


def _column(name: str, kind: Any, nullable: bool = False) -> sa.Column[Any]:
    return sa.Column(name, kind, nullable=nullable)


def _numbered() -> sa.Column[Any]:
    return sa.Column("n", _INT, sa.Identity(always=True), primary_key=True)


_table("meta", _key("name"), _column("value", _INT))
_table(
    "entries",
    _key("writer"),
    _key("seq", _INT()),
    _column("time", _INT),
    _column("kind", _ID),
    _column("decision", _ID, nullable=True),
    _column("task", _ID, nullable=True),
    _column("leaf", _BYTES),
    _column("line", _BYTES),
    sa.Column("place", _INT, sa.Identity(always=True), nullable=False),
    sa.Index("entries_decision", "decision", postgresql_where=sa.text("decision IS NOT NULL")),
    sa.Index("entries_task", "task", postgresql_where=sa.text("task IS NOT NULL")),
    sa.Index("entries_time", "time"),
)
_table(
    "chains",
    _key("writer"),
    _column("taken", _INT),
    _column("ended", sa.Boolean),
    sa.Index("chains_live", "writer", postgresql_where=sa.text("NOT ended")),
)
_table(
    "positions",
    _key("idx", _INT()),
    _column("writer", _ID),
    _column("seq", _INT),
    sa.Index("positions_entry", "writer", "seq", unique=True),
)
_table("tiles", _key("level", _INT()), _key("n", _INT()), _column("hashes", _BYTES))
_table(
    "tasks",
    _key("id"),
    _column("status", _ID),
    _column("opened", _INT),
    _column("task", _BYTES),
    _column("spent_version", _INT),
    _column("spent", _BYTES),
    sa.Index("tasks_opened", "opened"),
)
_table("data_keys", _key("task"), _column("secret", _BYTES, nullable=True))
_table(
    "sessions",
    _key("id"),
    _column("task", _ID),
    _column("version", _INT),
    _column("state", _BYTES),
    sa.Index("sessions_task", "task"),
)
_table("memories", _key("name"), _column("version", _INT), _column("state", _BYTES))
_table(
    "agents",
    _key("id"),
    _column("version", _INT),
    _column("state", _BYTES),
    _column("spent_version", _INT),
    _column("spent", _BYTES),
)
_table("permits", _key("decision"), _column("writer", _ID), _column("permit", _BYTES), sa.Index("permits_writer", "writer"))
_table(
    "approvals",
    _key("id"),
    _column("version", _INT),
    _column("state", _ID),
    _column("digest", _ID),
    _column("approval", _BYTES),
    sa.Index("approvals_digest", "digest", "state"),
    sa.Index("approvals_state", "state", "id"),
)
_table(
    "observations",
    _numbered(),
    _column("session", _ID),
    _column("decision", _ID),
    _column("source", _ID),
    _column("untrusted", sa.Boolean),
    _column("sealed", _BYTES),
    sa.Index("observations_session", "session", "n"),
)
_table("bundles", _key("digest"), _column("document", _BYTES))
_table(
    "activations", _numbered(), _column("digest", _ID), _column("previous", _ID), _column("time", _INT), _column("operator", _ID)
)
_table("definitions", _key("id"), _column("digest", _ID), _column("version", _INT), _column("state", _BYTES))
_table("break_glass", _key("id"), _column("version", _INT), _column("stage", _ID), _column("state", _BYTES))
_table(
    "people",
    _key("id"),
    _column("source", _ID),
    _column("version", _INT),
    _column("seen", _INT),
    _column("state", _BYTES),
    sa.Index("people_source", "source", "id"),
    sa.Index("people_unconfirmed", "source", postgresql_where=sa.text("seen = 0")),
)
_table("person_names", _key("name"), _key("person"), sa.Index("person_names_person", "person"))
_table(
    "people_groups",
    _key("id"),
    _column("source", _ID),
    _column("version", _INT),
    _column("state", _BYTES),
    sa.Index("people_groups_source", "source", "id"),
)
_table("kills", _key("kind"), _key("name"), _column("state", _BYTES))
