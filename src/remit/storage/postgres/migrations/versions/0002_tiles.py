"""The tree, stored in tiles, which whoever integrates next fills; and in which order groups of different writers took place."""

from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Make table and column."""
    op.execute("CREATE TABLE tiles (level BIGINT, n BIGINT, hashes BYTEA NOT NULL, PRIMARY KEY (level, n))")
    op.execute("ALTER TABLE entries ADD place BIGINT GENERATED ALWAYS AS IDENTITY")
