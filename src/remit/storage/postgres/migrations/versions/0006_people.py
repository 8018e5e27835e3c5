"""People as directories know them, by every name that they go by, and their groups."""

from alembic import op

revision = "0006"
down_revision = "0005"

_STATEMENTS = """
CREATE TABLE people (
    id TEXT COLLATE "C" PRIMARY KEY, source TEXT COLLATE "C" NOT NULL, version BIGINT NOT NULL, seen BIGINT NOT NULL,
    state BYTEA NOT NULL
);
CREATE INDEX people_source ON people (source, id);
CREATE TABLE person_names (name TEXT COLLATE "C", person TEXT COLLATE "C", PRIMARY KEY (name, person));
CREATE INDEX person_names_person ON person_names (person);
CREATE TABLE people_groups (
    id TEXT COLLATE "C" PRIMARY KEY, source TEXT COLLATE "C" NOT NULL, version BIGINT NOT NULL, state BYTEA NOT NULL
);
CREATE INDEX people_groups_source ON people_groups (source, id);
"""


def upgrade() -> None:
    """Make the tables."""
    for statement in _STATEMENTS.split(";"):
        if statement.strip():
            op.execute(statement)
