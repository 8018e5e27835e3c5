"""What two people opened for an agent, and where each stands."""

from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Make the table."""
    op.execute(
        'CREATE TABLE break_glass (id TEXT COLLATE "C" PRIMARY KEY, version BIGINT NOT NULL, stage TEXT COLLATE "C" NOT NULL,'
        " state BYTEA NOT NULL)"
    )
