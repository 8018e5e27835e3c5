"""People who are there by a backup alone, and what is kept of those who were erased: older Remits would take both for people as any."""

from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """Make the index by which the former are found."""
    op.execute("CREATE INDEX people_unconfirmed ON people (source) WHERE seen = 0")
