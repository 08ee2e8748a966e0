"""`voltagora protocols`: the published contract, for a person or for a machine."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from voltagora.domain.errors import InputError


def protocols_command(
    code: Annotated[str | None, typer.Argument(help="One of CP1 to CP12; all twelve if left out.")] = None,
    json_schema: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Write one JSON Schema 2020-12 a message into DIR.")
    ] = None,
    asyncapi: Annotated[bool, typer.Option("--asyncapi", help="Write an AsyncAPI 3 document.")] = False,
    output: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Where --asyncapi goes; standard output if left out.")
    ] = None,
) -> None:
    """Print the twelve communication protocols, or write them as JSON Schema or AsyncAPI."""
    if output is not None and not asyncapi:
        raise InputError("--output", str(output), "given together with --asyncapi")
    if code is not None and (asyncapi or json_schema is not None):
        raise InputError("code", code, "left out: the schemas are of all twelve protocols")
    if json_schema is not None:
        _write_schemas(json_schema)
    if asyncapi:
        _write_asyncapi(output)
    if json_schema is None and not asyncapi:
        from voltagora.protocols.described import described

        print(described(code))


def _write_schemas(folder: Path) -> None:
    from voltagora.protocols.published import schema_files

    folder.mkdir(parents=True, exist_ok=True)
    for name, text in schema_files().items():
        (folder / name).write_text(text, encoding="utf-8")
    print(f"{len(schema_files())} schemas in {folder}")


def _write_asyncapi(output: Path | None) -> None:
    from voltagora.protocols.asyncapi import asyncapi_text

    if output is None:
        print(asyncapi_text(), end="")
    else:
        output.write_text(asyncapi_text(), encoding="utf-8")
        print(f"AsyncAPI document in {output}")
