"""Access requests by where they stand: few wait, and all that were ever answered stay."""

from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    """Make the index by which those that wait are found."""
    op.execute("CREATE INDEX approvals_state ON approvals (state, id)")
