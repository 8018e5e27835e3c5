"""The definitions of tools that were first used, and how many there are, so that a lost one is missed."""

from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Make table and count."""
    op.execute(
        'CREATE TABLE definitions (id TEXT COLLATE "C" PRIMARY KEY, digest TEXT COLLATE "C" NOT NULL, version BIGINT NOT NULL,'
        " state BYTEA NOT NULL)"
    )
    op.execute("INSERT INTO meta VALUES ('definitions', 0) ON CONFLICT (name) DO UPDATE SET value = 0")
