"""Checks payloads against the published contract; knows nothing of energy, needs nothing but Python.

The contract is the file that `voltagora protocols --asyncapi` writes.
"""

import json
import re
from datetime import datetime
from pathlib import Path

MOST_BYTES = 256 * 1024
MOST_DEPTH = 16
TYPES = {
    "object": dict,
    "array": list,
    "string": str,
    "boolean": bool,
    "integer": int,
    "number": (int, float),
}


class Wrong(Exception):
    """A payload is not of the contract; the text is the path of the field, empty for all of it."""


class Contract:
    def __init__(self, file):
        self.schemas = json.loads(Path(file).read_text(encoding="utf-8"))["components"]["schemas"]

    def read(self, payload, message):
        """Give a payload as a dict; raises Wrong, and ValueError if it is no JSON object at all."""
        value = parsed(payload)
        self.check(value, self.schemas[message], "")
        return value

    def check(self, value, schema, path):
        """Raise Wrong with the path of the first field that breaks a schema."""
        if "$ref" in schema:
            self.check(value, self.schemas[schema["$ref"].rsplit("/", 1)[1]], path)
        if "type" in schema and not is_of_type(value, schema["type"]):
            raise Wrong(path)
        if ("const" in schema and value != schema["const"]) or (
            "enum" in schema and value not in schema["enum"]
        ):
            raise Wrong(path)
        if isinstance(value, dict):
            for name in schema.get("required", ()):
                if name not in value:
                    raise Wrong(joined(path, name))
            for name, field in schema.get("properties", {}).items():
                if name in value:
                    self.check(value[name], field, joined(path, name))
        elif isinstance(value, list):
            if not schema.get("minItems", 0) <= len(value) <= schema.get("maxItems", len(value)):
                raise Wrong(path)
            for place, item in enumerate(value):
                self.check(item, schema.get("items", {}), f"{path}[{place}]")
        elif isinstance(value, str):
            check_text(value, schema, path)
        elif not isinstance(value, bool):
            check_number(value, schema, path)
        self.check_rules(value, schema, path)

    def check_rules(self, value, schema, path):
        for rule in schema.get("allOf", ()):
            self.check(value, rule, path)
        if "anyOf" in schema and not any(self.holds(value, rule, path) for rule in schema["anyOf"]):
            raise Wrong(path)
        if "if" in schema and self.holds(value, schema["if"], path):
            self.check(value, schema["then"], path)

    def holds(self, value, schema, path):
        try:
            self.check(value, schema, path)
        except Wrong:
            return False
        return True


def check_text(value, schema, path):
    # `$` would also match before a final newline.
    if "pattern" in schema and not re.fullmatch(schema["pattern"].strip("^$"), value):
        raise Wrong(path)
    if not schema.get("minLength", 0) <= len(value) <= schema.get("maxLength", len(value)):
        raise Wrong(path)
    if schema.get("format") in ("date", "date-time"):
        try:
            datetime.fromisoformat(value)
        except ValueError:
            raise Wrong(path) from None


def check_number(value, schema, path):
    if not schema.get("minimum", value) <= value <= schema.get("maximum", value):
        raise Wrong(path)
    if "exclusiveMinimum" in schema and value <= schema["exclusiveMinimum"]:
        raise Wrong(path)


def is_of_type(value, name):
    return isinstance(value, TYPES[name]) and (name == "boolean") == isinstance(value, bool)


def is_id(value):
    return isinstance(value, str) and re.fullmatch("[A-Za-z0-9_-]{1,64}", value) is not None


def joined(path, name):
    return f"{path}.{name}" if path else name


def parsed(payload):
    """Parse one JSON object, refusing what Python takes and JSON does not know; raises ValueError."""
    if len(payload) > MOST_BYTES:
        raise ValueError("too large")
    try:
        value = json.loads(payload.decode(), parse_constant=no_number, object_pairs_hook=unique)
        if depth(value) > MOST_DEPTH:
            raise ValueError("too deep")
    except RecursionError:
        raise ValueError("too deep") from None
    if not isinstance(value, dict):
        raise ValueError("no object")
    return value


def no_number(word):
    raise ValueError(f"{word} is no number")


def unique(pairs):
    names = dict(pairs)
    if len(names) < len(pairs):
        raise ValueError("a name stands twice")
    return names


def depth(value):
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else None
    return 0 if inner is None else 1 + max(map(depth, inner), default=0)
