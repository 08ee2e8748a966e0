"""What a run hands to the one who asked for it: metrics, tables, figures, and a folder to keep them in."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from voltagora.domain.errors import InputError
from voltagora.results import metrics, store, tables
from voltagora.results.collector import Collector, Span
from voltagora.results.frames import to_frame

if TYPE_CHECKING:
    from voltagora.results.plots import Plots


class Result:
    """The result of one run.

    Attributes:
        name: what comparisons call it: the folder's name, or the scenario's.
        title: what it ran.
        manifest: scenario, seed, versions and hashes, as run.json holds them, without the metrics.
        metrics: every figure of docs/kpis.md, by name.
        tables: every table of docs/kpis.md as a pyarrow Table, by name.
        span: the time the report is about.
        timing: what depends on the machine, or None.
        path: where it is stored, or None.
    """

    def __init__(
        self,
        manifest: Mapping[str, Any],
        metrics: dict[str, Any],
        tables: dict[str, pa.Table],
        span: Span,
        *,
        timing: Mapping[str, Any] | None = None,
        path: Path | None = None,
    ) -> None:
        self.manifest = dict(manifest)
        self.metrics = metrics
        self.tables = tables
        self.span = span
        self.timing = timing
        self.path = path

    @classmethod
    def of(
        cls,
        collector: Collector,
        manifest: Mapping[str, Any],
        *,
        first_slot: Collector | None = None,
        timing: Mapping[str, Any] | None = None,
    ) -> Result:
        """Make a result of the records of a run.

        Args:
            collector: the records of all areas, merged.
            manifest: what says which run this was: scenario, hashes, seed, version.
            first_slot: the records of the same fleet charging at once (`--with-first-slot`).
            timing: wall time, events per second and the like.
        """
        built = tables.build(collector)
        compared = None if first_slot is None else tables.slots_of(first_slot)
        figures = metrics.compute(built, collector.span, compared)
        return cls(manifest, figures, built, collector.span, timing=timing)

    @classmethod
    def load(cls, directory: Path | str) -> Result:
        """Read the folder of a run.

        Raises:
            InputError: it is not one, or it is damaged.
        """
        manifest, read_tables, timing = store.read(directory)
        figures, span = manifest.pop("metrics"), store.span_from_json(manifest.pop("span"))
        return cls(manifest, figures, read_tables, span, timing=timing, path=Path(directory))

    @property
    def name(self) -> str:
        """What comparisons call this run: its folder, or what it ran."""
        return self.title if self.path is None else self.path.resolve().name

    @property
    def title(self) -> str:
        """What this run ran; not its folder, since the report's bytes must not depend on that."""
        named = self.manifest.get("name") or self.manifest.get("scenario")
        return named if isinstance(named, str) else "run"

    @property
    def sessions(self) -> Any:
        """One row a reservation, as a pandas data frame."""
        return to_frame(self.tables["sessions"])

    @property
    def slots(self) -> Any:
        """One row an area and slot, as a pandas data frame."""
        return to_frame(self.tables["slots"])

    @property
    def vehicles(self) -> Any:
        """One row a vehicle, as a pandas data frame."""
        return to_frame(self.tables["vehicles"])

    @property
    def needs(self) -> Any:
        """One row a stay wanted, as a pandas data frame."""
        return to_frame(self.tables["needs"])

    @property
    def refusals(self) -> Any:
        """One row a `no`, as a pandas data frame."""
        return to_frame(self.tables["refusals"])

    @property
    def messages(self) -> Any:
        """One row a publication, as a pandas data frame.

        Raises:
            InputError: the run was not asked to keep them.
        """
        if "messages" not in self.tables:
            raise InputError(
                "messages", None, "kept by the run: voltagora.run(..., messages=True) or --messages"
            )
        return to_frame(self.tables["messages"])

    @cached_property
    def plot(self) -> Plots:
        """The figures of the report, each a matplotlib Figure: `result.plot.prices()`."""
        from voltagora.results.plots import Plots

        return Plots(self)

    def to_manifest(self) -> dict[str, Any]:
        """Give the content of run.json."""
        return {**self.manifest, "metrics": self.metrics, "span": store.span_to_json(self.span)}

    def save(self, directory: Path | str, *, force: bool = False, report: bool = True) -> Path:
        """Store the run in a folder, whole or not at all.

        Args:
            directory: the folder to make.
            force: replace an earlier result there.
            report: also write report.html and `figures/`.

        Raises:
            InputError: the folder exists.
            RunError: the disk refused.
        """
        store.check_free(directory, force=force)
        files: dict[str, bytes] = {}
        if report:
            from voltagora.results.report import report_files

            files = report_files(self)
        self.path = store.write(
            directory, self.to_manifest(), self.tables, files=files, timing=self.timing, force=force
        )
        return self.path
