"""The `voltagora` command: parse, call, print."""
