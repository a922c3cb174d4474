"""The schemas of our JSON formats, as the documentation has them."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import jsonschema

SCHEMAS = Path(__file__).parents[2] / "docs" / "schemas"


def problems(name: str, document: Any) -> list[str]:
    """What is wrong with a document, which may have dataclasses in it. Names that the schema lacks are wrong, too."""
    schema = json.loads((SCHEMAS / f"{name}.schema.json").read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator.check_schema(schema)
    found = jsonschema.Draft202012Validator(schema).iter_errors(json.loads(json.dumps(document, default=asdict)))
    return [f"{list(each.absolute_path)}: {each.message[:200]}" for each in found]
