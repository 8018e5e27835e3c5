"""The definitions of tools that were first used."""

from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Make the table."""
    op.execute(
        'CREATE TABLE definitions (id TEXT COLLATE "C" PRIMARY KEY, digest TEXT COLLATE "C" NOT NULL, version BIGINT NOT NULL,'
        " state BYTEA NOT NULL)"
    )
