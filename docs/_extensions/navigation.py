"""The navigation is the lists of the index pages: their links in their order, under their headings."""

from __future__ import annotations

import re
from typing import Any

from sphinx.application import Sphinx

_ITEM = re.compile(r"^- \[[^\]]+\]\(([\w./-]+)\.(?:md|ipynb)\)", re.MULTILINE)
_PART = re.compile(r"^## (.+)$", re.MULTILINE)


def trees(text: str) -> str:
    """A hidden table of contents for each part of an index page, with its heading as the caption."""
    before, *parts = _PART.split(text)
    found = [("", before), *zip(parts[::2], parts[1::2], strict=True)]
    return "".join(_tree(caption, pages) for caption, part in found if (pages := _ITEM.findall(part)))


def _tree(caption: str, pages: list[str]) -> str:
    lines = ["", "```{toctree}", ":hidden:", f":caption: {caption}" if caption else "", "", *pages, "```", ""]
    return "\n".join(line for number, line in enumerate(lines) if line or number != 3)


def _add_trees(_app: Sphinx, docname: str, source: list[str]) -> None:
    if docname.rpartition("/")[2] == "index":
        source[0] += trees(source[0])


def setup(app: Sphinx) -> dict[str, Any]:
    app.connect("source-read", _add_trees)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
