"""Run every `bench_*.py` beside this file: `python -m benchmarks`, or with words that its name must hold.

A benchmark has a TITLE and `rows()`, which measures and gives one line at a time. What it claims
are ratios of figures taken side by side in one run; absolute times depend on the machine.
"""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path


def main(words: list[str]) -> None:
    """Run the benchmarks whose names hold one of the words; all if there is none."""
    for path in sorted(Path(__file__).parent.glob("bench_*.py")):
        if not words or any(word in path.stem for word in words):
            benchmark = import_module(f"benchmarks.{path.stem}")
            print(f"\n{benchmark.TITLE}", flush=True)
            for row in benchmark.rows():
                print(f"  {row}", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
