"""Migrations: the schema made or brought up to date, explicitly, in one transaction."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy.exc import DBAPIError

from remit.model.errors import corrupt
from remit.storage.postgres.connecting import Address, explained
from remit.storage.postgres.tables import SCHEMA


def scripts() -> ScriptDirectory:
    """The migrations, as Alembic reads them."""
    return ScriptDirectory.from_config(_config())


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.set_main_option("path_separator", "os")
    return config


@contextmanager
def _unwrapped() -> Iterator[None]:
    """What the driver raised, which SQLAlchemy wraps."""
    try:
        yield
    except DBAPIError as error:
        raise error.orig or error from None


def migrate(address: Address) -> tuple[str, str]:
    """Bring the schema up to date; its revision before (empty: there was none) and after.

    Raises `RemitError`: unavailable if the server cannot be reached or does not let us, corrupt if the schema is newer than this
    Remit. Nothing is changed then.
    """
    with explained(address), _unwrapped():
        engine = sa.create_engine(
            "postgresql+psycopg://", creator=lambda: address.connect(autocommit=False), poolclass=sa.NullPool
        )
        with engine.begin() as connection:
            # Two that migrate at once would both begin with the same step.
            connection.execute(sa.text("SELECT pg_advisory_xact_lock(hashtextextended('remit migration', 0))"))
            connection.execute(sa.text("SET LOCAL statement_timeout = 0"))  # a long log takes longer than a decision may
            before = MigrationContext.configure(connection).get_current_revision() or ""
            if before and before not in {step.revision for step in scripts().walk_revisions()}:
                raise corrupt(f"store `{address}` was written by a newer Remit (schema {before}): upgrade Remit")
            config = _config()
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
    return before, SCHEMA
