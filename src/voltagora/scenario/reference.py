"""The JSON Schema and the reference page of the scenario file, both made from its types.

    python -m voltagora.scenario.reference

run in a checkout rewrites `src/voltagora/scenario/schema.json` and `docs/scenarios.md`.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any, NamedTuple, get_args

import msgspec
from msgspec import NODEFAULT, Meta, inspect, structs

from voltagora.scenario import shipped
from voltagora.scenario.listed import ListedConnector, ListedNeed, ListedStation, ListedVehicle
from voltagora.scenario.settings import AreaSettings, NetworkSettings, Scenario, StrategySection
from voltagora.scenario.validation import expected_of

SCHEMA_ID = "https://voltagora.readthedocs.io/scenario.schema.json"
GENERATED = "<!-- Made by `python -m voltagora.scenario.reference`; change the types, not this file. -->"


def schema() -> str:
    """Give the JSON Schema 2020-12 of a scenario file (TOML dates as strings)."""
    made = msgspec.json.schema(Scenario)
    definitions = {name: _as_in_toml(name, part) for name, part in made["$defs"].items()}
    top = definitions.pop("Scenario")
    whole = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": SCHEMA_ID,
        **top,
        "title": "VoltAgora scenario",
        "$defs": definitions,
    }
    return json.dumps(whole, indent=2, ensure_ascii=False) + "\n"


def published_schema() -> str:
    """Give the schema as the package ships it."""
    return (files("voltagora.scenario") / "schema.json").read_text(encoding="utf-8")


def _as_in_toml(name: str, part: dict[str, Any]) -> dict[str, Any]:
    """Take out what TOML cannot say: null, defaults of whole tables, `parameters` as a table."""
    properties: dict[str, Any] = part["properties"]
    if name in {kind.__name__ for kind in StrategySection.__subclasses__()}:
        del properties["parameters"]
        # The strategy's own parameters; which they are, `voltagora strategies` tells.
        part["additionalProperties"] = {"type": ["number", "string", "boolean", "array"]}
    for key, value in properties.items():
        if "$ref" in value:
            value.pop("default", None)
        choices = [each for each in value.pop("anyOf", []) if each.get("type") != "null"]
        if len(choices) == 1:
            value = {**choices[0], **value}
        if value.get("default", 0) is None:
            del value["default"]
        properties[key] = value
    return part


class _Table(NamedTuple):
    heading: str
    kind: type[msgspec.Struct]


def _tables() -> Iterator[_Table]:
    """List the tables of the page: top, areas, each section, and what may be listed."""
    yield _Table("Top of the file", Scenario)
    for field in structs.fields(Scenario):
        info = inspect.type_info(field.type)
        if isinstance(info, inspect.StructType):
            yield _Table(f"`[{field.name}]`", info.cls)
        elif field.name == "areas":
            yield _Table("`[[areas]]`", AreaSettings)
            yield _Table("`[[areas.networks]]`", NetworkSettings)
    yield _Table("`[[stations.list]]`", ListedStation)
    yield _Table("`[[stations.list.connectors]]`", ListedConnector)
    yield _Table("`[[vehicles.list]]`", ListedVehicle)
    yield _Table("`[[vehicles.list.needs]]`", ListedNeed)


def page() -> str:
    """Give `docs/scenarios.md`."""
    parts = [GENERATED, _text("reference_head.md").format(shipped=_shipped())]
    for heading, kind in _tables():
        parts.append(f"### {heading}\n\n{_summary(kind)}\n\n{_rows(kind)}")
    parts.append(_text("reference_tail.md"))
    return "\n\n".join(part.strip() for part in parts) + "\n"


def _text(name: str) -> str:
    return (files("voltagora.scenario") / name).read_text(encoding="utf-8")


def _shipped() -> str:
    return "\n".join(f"- `{name}`: {shipped.summary(name)}" for name in shipped.names())


def _summary(kind: type[msgspec.Struct]) -> str:
    words = " ".join((kind.__doc__ or "").split()).partition(": ")
    text = words[2] or words[0]
    return text[:1].upper() + text[1:]


def _rows(kind: type[msgspec.Struct]) -> str:
    lines = ["| key | value | default | meaning |", "|---|---|---|---|"]
    for field in structs.fields(kind):
        info = inspect.type_info(field.type)
        if isinstance(info, inspect.StructType) or field.name == "parameters":
            continue
        cells = (f"`{field.name}`", expected_of(field.type), _default(field), _description(field.type))
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    if issubclass(kind, StrategySection):
        lines.append("| … | | | the strategy's own parameters: `voltagora strategies` lists them |")
    return "\n".join(lines)


def _default(field: structs.FieldInfo) -> str:
    if field.required:
        return "required"
    value = field.default if field.default is not NODEFAULT else None
    if value is None or value == ():
        return "absent"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, int | float):
        return f"`{value:g}`" if abs(value) < 1e6 else f"`{value}`"
    if isinstance(value, tuple):
        return f"`{json.dumps(list(value))}`"
    return f'`"{value}"`' if isinstance(value, str) else f"`{value}`"


def _description(kind: Any) -> str:
    """Find the description among nested annotations, the outermost first."""
    for part in reversed(getattr(kind, "__metadata__", ())):
        if isinstance(part, Meta) and part.description:
            return part.description
    return next((text for each in get_args(kind) if (text := _description(each))), "")


def main(checkout: Path) -> None:
    """Write both files into a checkout."""
    (checkout / "src/voltagora/scenario/schema.json").write_text(schema(), encoding="utf-8")
    (checkout / "docs/scenarios.md").write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "."))
