"""What alembic runs: the steps, on the connection it was handed."""

from alembic import context

from voltagora.platform.registry import tables

context.configure(
    connection=context.config.attributes["connection"], target_metadata=tables.metadata, render_as_batch=True
)
context.run_migrations()
