"""The report of one run: one HTML page that needs nothing else, and its figures as files."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from voltagora.results.result import Result


def report_files(result: Result) -> dict[str, bytes]:
    """Make the report of a run: `report.html` and the files of `figures/`, by relative path."""
    return {"report.html": f"<!doctype html><title>{result.name}</title>\n".encode()}
