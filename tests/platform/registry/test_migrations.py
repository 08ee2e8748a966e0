"""The steps of the database lead to the tables that the code knows."""

from __future__ import annotations

from pathlib import Path

from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from registry_stage import a_registry

from voltagora.platform.registry import tables


def test_the_steps_lead_to_the_tables(tmp_path: Path) -> None:
    with a_registry(tmp_path) as registry, registry._database.read() as connection:
        assert compare_metadata(MigrationContext.configure(connection), tables.metadata) == []
