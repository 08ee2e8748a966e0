"""Runs the steps that are missing."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from alembic import command
from alembic.config import Config
from sqlalchemy.engine import Engine

FOLDER: Final = Path(__file__).parent


def upgrade(engine: Engine) -> None:
    """Bring the tables up to date, in one transaction."""
    config = Config()
    # A percent sign would be read as the beginning of a variable.
    config.set_main_option("script_location", str(FOLDER).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    with engine.connect() as connection:
        writing = connection.execution_options(writes=True)
        with writing.begin():
            config.attributes["connection"] = writing
            command.upgrade(config, "head")
