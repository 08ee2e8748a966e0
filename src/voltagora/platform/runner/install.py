"""Runs in the sandbox of a build: one command after the other, each said before it runs."""

import json
import subprocess
import sys


def main(steps: "list[list[str]]") -> None:
    """Run the steps; the first that fails ends it."""
    for step in steps:
        sys.stdout.write("$ " + " ".join(step) + "\n")
        sys.stdout.flush()
        code = subprocess.call(step)  # noqa: S603 - checked before, and no shell
        if code != 0:
            sys.exit(code if code > 0 else 1)


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
