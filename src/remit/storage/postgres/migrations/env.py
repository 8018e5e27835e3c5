"""What Alembic runs: every step in one transaction, on the connection that `migrate` hands over."""

from alembic import context

from remit.storage.postgres.tables import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata, transactional_ddl=True)
with context.begin_transaction():
    context.run_migrations()
