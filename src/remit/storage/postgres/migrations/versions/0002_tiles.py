"""The tree, stored in tiles. Whoever integrates next fills them."""

from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Make the table."""
    op.execute("CREATE TABLE tiles (level BIGINT, n BIGINT, hashes BYTEA NOT NULL, PRIMARY KEY (level, n))")
