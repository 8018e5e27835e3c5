"""The labels of what agents write in one session and read in another."""

from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Make the table, and count what it holds: a row that is lost must show."""
    op.execute('CREATE TABLE memories (name TEXT COLLATE "C" PRIMARY KEY, version BIGINT NOT NULL, state BYTEA NOT NULL)')
    op.execute("INSERT INTO meta VALUES ('memories', 0)")
