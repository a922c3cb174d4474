"""Adds a table for each JSON Schema of ``docs/schemas`` to the page ``reference/formats``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx

PAGE = "reference/formats"


def tables(schemas: Path) -> str:
    """All schemas as Markdown, by their titles."""
    documents = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(schemas.glob("*.schema.json"))]
    return "".join(_section(document) for document in sorted(documents, key=lambda each: str(each["title"])))


def _section(schema: dict[str, Any]) -> str:
    rows = _rows(schema.get("items", schema), "")
    return (
        f"\n## {schema['title']}\n\n{schema['description']}\n\n| name | type | is |\n|---|---|---|\n"
        + "\n".join(rows)
        + "\n"
    )


def _rows(schema: dict[str, Any], above: str) -> list[str]:
    """A row for each name; those inside of a name follow it, with its path."""
    rows = []
    for name, each in schema.get("properties", {}).items():
        path = f"{above}{name}"
        optional = "" if name in schema.get("required", ()) else ", optional"
        rows.append(f"| `{path}` | {_type(each)}{optional} | {each.get('description', '')} |")
        if inner := each.get("items", each).get("properties"):
            rows += _rows(
                {**each.get("items", each), "properties": inner}, f"{path}[]." if "items" in each else f"{path}."
            )
    return rows


def _type(schema: dict[str, Any]) -> str:
    if "enum" in schema:
        return ", ".join(f"`{json.dumps(value)}`" for value in schema["enum"])
    kinds = schema.get("type", "any")
    return str(kinds) if isinstance(kinds, str) else " or ".join(kinds)


def _add_tables(app: Sphinx, docname: str, source: list[str]) -> None:
    if docname == PAGE:
        source[0] += tables(Path(app.srcdir) / "schemas")


def setup(app: Sphinx) -> dict[str, Any]:
    app.connect("env-get-outdated", lambda *_: [PAGE])  # a schema may have changed
    app.connect("source-read", _add_tables)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
