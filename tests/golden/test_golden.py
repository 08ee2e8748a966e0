"""A run whose result is known by heart: whoever changes it says so, by renewing the hash.

    VOLTAGORA_RENEW_GOLDEN=1 python -m pytest tests/golden

The hash is over what the tables say, not over the bytes of their files, which a library may change.
"""

from __future__ import annotations

import os
from pathlib import Path

from whole_market import digest

import voltagora

HERE = Path(__file__).parent
KNOWN = HERE / "market.sha256"


def test_the_golden_market_is_what_it_was() -> None:
    result = voltagora.run(HERE / "market.toml")
    found = digest(result.tables)
    if os.environ.get("VOLTAGORA_RENEW_GOLDEN"):
        KNOWN.write_text(f"{found}\n")
    assert result.metrics["bookings_made"] > 20, "a market in which nothing happens proves nothing"
    assert {"completed", "cancelled", "no_show"} <= set(result.sessions["state"])
    assert found == KNOWN.read_text().strip(), (
        "the golden run has another result; if that is meant, renew it: "
        "VOLTAGORA_RENEW_GOLDEN=1 python -m pytest tests/golden"
    )


def test_the_hash_notices_the_smallest_difference() -> None:
    import pyarrow as pa

    def table(value: float) -> dict[str, pa.Table]:
        return {"t": pa.table({"x": [1.0, value]})}

    assert digest(table(0.1)) == digest(table(0.1))
    assert digest(table(0.1)) != digest(table(0.1 + 1e-16 * 2))
