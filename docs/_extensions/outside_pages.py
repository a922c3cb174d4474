"""Pages of the repository that are not in ``docs``: they are copied into the site.

Links between them and the other pages lead to the copies. As they are written they work in the repository, too.
"""

from __future__ import annotations

import os.path
import re
import shutil
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx

PAGES = {
    "ARCHITECTURE.md": "project/architecture.md",
    "CHANGELOG.md": "project/changelog.md",
    "CONTRIBUTING.md": "project/contributing.md",
    "README.md": "project/readme.md",
    "SECURITY.md": "project/security.md",
    "notebooks/DATA.md": "notebooks/DATA.md",
}
"""Files of the repository, and their places in the site."""

FOLDERS = {"notebooks": "notebooks"}
"""The same of folders: notebooks, and the data beside them."""

_LINK = re.compile(r"(?<=\]\()(?!\w+:)([^)#\s]+)(?=[)#])")


def place(path: str) -> str | None:
    """Where a file of the repository is in the site, both relative to the top."""
    if path in PAGES:
        return PAGES[path]
    folder, _, name = path.partition("/")
    if folder in FOLDERS:
        return f"{FOLDERS[folder]}/{name}"
    return path.removeprefix("docs/") if path.startswith("docs/") else None


def relinked(text: str, origin: str, target: str) -> str:
    """The text of a page that was written for ``origin`` in the repository, with links for ``target`` in the site."""

    def new(link: re.Match[str]) -> str:
        there = place(os.path.normpath(os.path.join(os.path.dirname(origin), link[1])))
        return os.path.relpath(there, os.path.dirname(target) or ".") if there else link[1]

    return _LINK.sub(new, text)


def _copy(app: Sphinx) -> None:
    source, top = Path(app.srcdir), Path(app.srcdir).parent
    for folder, copy in FOLDERS.items():
        for file in (top / folder).iterdir():
            if file.is_file():
                _refresh(source / copy / file.name, file)
    for name, copy in PAGES.items():
        _refresh(source / copy, top / name)


def _refresh(copy: Path, original: Path) -> None:
    """Only what has changed, so that Sphinx does not read it again."""
    copy.parent.mkdir(exist_ok=True)
    if not copy.exists() or copy.read_bytes() != original.read_bytes():
        shutil.copyfile(original, copy)


_ORIGINS = {copy.removesuffix(".md"): name for name, copy in PAGES.items()}


def _relink(_app: Sphinx, docname: str, source: list[str]) -> None:
    origin = _ORIGINS.get(docname) or (docname if docname.startswith("notebooks/") else f"docs/{docname}")
    source[0] = relinked(source[0], origin, docname)


def setup(app: Sphinx) -> dict[str, Any]:
    app.connect("builder-inited", _copy)
    app.connect("source-read", _relink)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
