"""Tables as pandas data frames, for those who have the extra `notebook`."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from voltagora.domain.errors import MissingExtra


def to_frame(table: pa.Table) -> Any:
    """Give a table as a pandas DataFrame.

    Raises:
        MissingExtra: pandas is not installed; `result.tables[...]` has the same as pyarrow.
    """
    try:
        import pandas  # noqa: F401 (only those who ask for frames pay for it)
    except ImportError as error:
        raise MissingExtra("notebook", "a data frame") from error
    return table.to_pandas()
