"""Notebook files: read with limits, and changed in place so that nothing else in them is lost."""

import json
import os
import re
import shlex
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nbformat
from nbformat.notebooknode import from_dict

from tfprovisioner.errors import BadNotebook
from tfprovisioner.system.files import replace_bytes

KEY = "tfkernels"
"""Our key in a notebook's metadata."""

PINNED_LATER = "pinned_later"
"""Under our key: the pin is not of the kernel that made the outputs."""

FORMAT = 1
"""The version of what is under the key."""

MAX_BYTES = 100_000_000
"""Of a notebook's file; its outputs are in it."""

MAX_VALUES = 1_000_000
"""Lists and objects in a notebook's file: each takes up to 30 times its bytes in memory."""


@dataclass(frozen=True)
class NotebookFile:
    """A notebook as it was when it was read."""

    path: Path
    content: bytes
    notebook: dict[str, Any]
    """The file's JSON. The changes in it are written by ``save``."""

    @property
    def metadata(self) -> dict[str, Any]:
        found: dict[str, Any] = self.notebook["metadata"]
        return found

    @property
    def kernel_name(self) -> str:
        """The kernel that Jupyter opens it on; empty if it names none."""
        spec = self.metadata.get("kernelspec")
        name = spec.get("name") if isinstance(spec, dict) else None
        return name if isinstance(name, str) and re.fullmatch(r"[A-Za-z0-9._-]{1,100}", name) else ""

    @property
    def quoted(self) -> str:
        """Its path, for commands that messages show."""
        return shlex.quote(str(self.path))

    @property
    def language(self) -> dict[str, Any]:
        """What the kernel that Jupyter last ran it on says about itself."""
        found = self.metadata.get("language_info")
        return dict(found) if isinstance(found, dict) else {}

    @property
    def ours(self) -> dict[str, Any]:
        """What is under our key; empty if there is nothing. Raises ``BadNotebook``."""
        found = self.metadata.get(KEY)
        if found is None:
            return {}
        if not isinstance(found, dict) or not isinstance(found.get("format"), int):
            raise BadNotebook(f"{self.path}: its metadata {KEY!r} is not of tfkernels. {unpin(self.path)}")
        if found["format"] > FORMAT:
            raise BadNotebook(
                f"{self.path} was pinned by a newer tfkernels, in format {found['format']}. Upgrade this one: "
                f"pip install --upgrade tfkernels"
            )
        return dict(found)

    def save(self) -> None:
        """Writes the notebook, unless the file has changed since it was read. Raises ``BadNotebook``."""
        path = Path(os.path.realpath(self.path))
        writer = nbformat.versions[self.notebook["nbformat"]]
        text = writer.writes_json(from_dict(self.notebook)).rstrip("\n") + "\n"
        try:
            if path.read_bytes() != self.content:
                raise BadNotebook(f"{self.path} changed meanwhile, so it was not written. Run the same command again.")
            mode = path.stat().st_mode
            if not mode & (stat.S_IWUSR | stat.S_IWGRP | stat.S_IWOTH) or not os.access(path, os.W_OK):
                raise BadNotebook(f"{self.path} is read-only, so it was not written. Make it writable, or copy it.")
            replace_bytes(path, text.encode("utf-8"), like=path)
        except OSError as error:
            raise BadNotebook(
                f"{self.path} cannot be written: {error.strerror}. Make its folder writable, or copy the notebook."
            ) from error


def unpin(path: Path) -> str:
    """The advice for metadata that cannot be used."""
    return f"Delete it with: tfkernels unpin {shlex.quote(str(path))}"


def read(path: Path) -> NotebookFile:
    """A notebook's file. Raises ``BadNotebook``."""
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise BadNotebook(f"Cannot read the notebook {path}: {error.strerror}. Correct its path.") from error
    limits = {
        f"{MAX_BYTES / 1e6:.0f} MB": len(content) > MAX_BYTES,
        f"{MAX_VALUES:,} lists and objects": content.count(b"{") + content.count(b"[") > MAX_VALUES,
    }
    exceeded = next((limit for limit, is_over in limits.items() if is_over), None)
    if exceeded is not None:
        raise BadNotebook(
            f"{path} has more than {exceeded}, and is not read. Clear its outputs: jupyter nbconvert "
            f"--clear-output --inplace {shlex.quote(str(path))}"
        )
    try:
        notebook = json.loads(content)  # without validation: Jupyter opens invalid ones, too
    except RecursionError as error:
        raise BadNotebook(f"{path} is not a notebook: it is nested too deeply.") from error
    except ValueError as error:
        raise BadNotebook(f"{path} is not a notebook: {error}.") from error
    found = notebook if isinstance(notebook, dict) else {}
    version = found.get("nbformat")
    cells = {3: "worksheets", 4: "cells"}.get(version) if isinstance(version, int) else None
    if cells is None or not isinstance(found.get("metadata"), dict) or not isinstance(found.get(cells), list):
        raise BadNotebook(f"{path} is not a notebook of format 3 or 4. Open it in Jupyter and save it.")
    return NotebookFile(path, content, found)
