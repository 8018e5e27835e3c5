"""The labels of what agents write in one session and read in another; and what agents have spent over all their tasks."""

from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Make table and columns, and count what it holds: a row that is lost must show."""
    op.execute('CREATE TABLE memories (name TEXT COLLATE "C" PRIMARY KEY, version BIGINT NOT NULL, state BYTEA NOT NULL)')
    op.execute("ALTER TABLE agents ADD spent_version BIGINT NOT NULL DEFAULT 0, ADD spent BYTEA NOT NULL DEFAULT '\\x80'")
    op.execute("INSERT INTO meta VALUES ('memories', 0)")
