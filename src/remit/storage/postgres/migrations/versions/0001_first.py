"""The first schema."""

import os

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

_STATEMENTS = """
CREATE TABLE meta (name TEXT COLLATE "C" PRIMARY KEY, value BIGINT NOT NULL);
INSERT INTO meta VALUES ('revision', 0), ('integrated', 0);
CREATE TABLE entries (
    writer TEXT COLLATE "C" NOT NULL, seq BIGINT NOT NULL, time BIGINT NOT NULL, kind TEXT COLLATE "C" NOT NULL,
    decision TEXT COLLATE "C", task TEXT COLLATE "C", leaf BYTEA NOT NULL, line BYTEA NOT NULL, PRIMARY KEY (writer, seq)
);
CREATE INDEX entries_decision ON entries (decision) WHERE decision IS NOT NULL;
CREATE INDEX entries_task ON entries (task) WHERE task IS NOT NULL;
CREATE INDEX entries_time ON entries (time);
CREATE TABLE chains (writer TEXT COLLATE "C" PRIMARY KEY, taken BIGINT NOT NULL, ended BOOLEAN NOT NULL);
CREATE INDEX chains_live ON chains (writer) WHERE NOT ended;
CREATE TABLE positions (idx BIGINT PRIMARY KEY, writer TEXT COLLATE "C" NOT NULL, seq BIGINT NOT NULL);
CREATE UNIQUE INDEX positions_entry ON positions (writer, seq);
CREATE VIEW log AS SELECT p.idx, e.* FROM positions p JOIN entries e ON e.writer = p.writer AND e.seq = p.seq;
CREATE TABLE tasks (
    id TEXT COLLATE "C" PRIMARY KEY, status TEXT COLLATE "C" NOT NULL, opened BIGINT NOT NULL, task BYTEA NOT NULL,
    spent_version BIGINT NOT NULL, spent BYTEA NOT NULL
) WITH (fillfactor = 70);
CREATE INDEX tasks_opened ON tasks (opened);
CREATE TABLE data_keys (task TEXT COLLATE "C" PRIMARY KEY, secret BYTEA);
CREATE TABLE sessions (
    id TEXT COLLATE "C" PRIMARY KEY, task TEXT COLLATE "C" NOT NULL, version BIGINT NOT NULL, state BYTEA NOT NULL
) WITH (fillfactor = 70);
CREATE INDEX sessions_task ON sessions (task);
CREATE TABLE agents (id TEXT COLLATE "C" PRIMARY KEY, version BIGINT NOT NULL, state BYTEA NOT NULL);
CREATE TABLE permits (decision TEXT COLLATE "C" PRIMARY KEY, writer TEXT COLLATE "C" NOT NULL, permit BYTEA NOT NULL);
CREATE INDEX permits_writer ON permits (writer);
CREATE TABLE approvals (
    id TEXT COLLATE "C" PRIMARY KEY, version BIGINT NOT NULL, state TEXT COLLATE "C" NOT NULL, digest TEXT COLLATE "C" NOT NULL,
    approval BYTEA NOT NULL
);
CREATE INDEX approvals_digest ON approvals (digest, state);
CREATE TABLE observations (
    n BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY, session TEXT COLLATE "C" NOT NULL, decision TEXT COLLATE "C" NOT NULL,
    source TEXT COLLATE "C" NOT NULL, untrusted BOOLEAN NOT NULL, sealed BYTEA NOT NULL
);
CREATE INDEX observations_session ON observations (session, n);
CREATE TABLE bundles (digest TEXT COLLATE "C" PRIMARY KEY, document BYTEA NOT NULL);
CREATE TABLE activations (
    n BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY, digest TEXT COLLATE "C" NOT NULL, previous TEXT COLLATE "C" NOT NULL,
    time BIGINT NOT NULL, operator TEXT COLLATE "C" NOT NULL
);
CREATE TABLE kills (kind TEXT COLLATE "C", name TEXT COLLATE "C", state BYTEA NOT NULL, PRIMARY KEY (kind, name));
"""


def upgrade() -> None:
    """Make the tables, the view over what was integrated, and the key of what belongs to no task."""
    for statement in _STATEMENTS.split(";"):
        if statement.strip():
            op.execute(statement)
    op.execute(sa.text("INSERT INTO data_keys VALUES ('task-free', :secret)").bindparams(secret=os.urandom(32)))


def downgrade() -> None:
    """There is nothing before it."""
    raise NotImplementedError("the first schema has none before it: restore a backup")
