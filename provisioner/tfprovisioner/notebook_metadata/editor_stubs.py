"""Names that magics bind in notebooks, as a file for editors: without it they mark each as undefined."""

import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from tfprovisioner.errors import BadNotebook, ProvisionError
from tfprovisioner.notebook_metadata.notebook_file import read
from tfprovisioner.system.files import replace_text

STUBS = "__builtins__.pyi"
"""pyright and Pylance take the names in it for builtins, if it lies in the folder that is open."""

_HEADER = "# Written by `tfkernels stubs`. Run it again when you add names.\n"

_SUFFIXES = (".ipynb", ".py", ".md")
"""Notebooks, and the texts that jupytext keeps them in."""

_CELL_MAGIC = re.compile(r"(?:#\s*)?%%[A-Za-z]\S*\s+(.*)")
_ASSIGNED = re.compile(r"\s*(?:#\s*)?([A-Za-z_]\w*(?:\s*,\s*[A-Za-z_]\w*)*)\s*=\s*%[A-Za-z]")


def notebooks(paths: Iterable[Path]) -> list[Path]:
    """The files themselves, and the notebooks in folders. Raises ``BadNotebook``."""
    found: list[Path] = []
    for path in paths:
        if path.is_dir():
            inside = sorted(path.rglob("*.ipynb"))
            found += [file for file in inside if not any(part.startswith(".") for part in file.relative_to(path).parts)]
        elif path.suffix not in _SUFFIXES or not path.is_file():
            raise BadNotebook(f"Cannot read {path}: it is no notebook. Name a file that ends with .ipynb, .py or .md.")
        else:
            found.append(path)
    return found


def names(path: Path) -> list[str]:
    """The names that ``-o`` and ``name = %tf1 …`` bind in a notebook. Raises ``BadNotebook``."""
    if path.suffix == ".ipynb":
        cells = read(path).notebook.get("cells", [])
        texts = ["".join(cell.get("source", "")) for cell in cells if cell.get("cell_type") == "code"]
    else:
        try:
            texts = [path.read_text(encoding="utf-8")]
        except (OSError, UnicodeDecodeError) as error:
            raise BadNotebook(f"Cannot read {path}: {error}.") from error
    return sorted({name for text in texts for line in text.splitlines() for name in _bound(line)})


def _bound(line: str) -> Iterator[str]:
    from tfkernels.notebook.magic_arguments import DESTINATION, pieces  # imports IPython

    magic, assigned = _CELL_MAGIC.match(line), _ASSIGNED.match(line)
    if magic is not None:
        for piece in pieces(magic[1]):
            if piece.kind == "-o":
                destination = DESTINATION.match(piece.text)
                name = destination[1] if destination else piece.text.strip()
                if name.isidentifier():
                    yield name
    elif assigned is not None:
        yield from re.findall(r"\w+", assigned[1])


def write(folder: Path, found: Iterable[str]) -> Path:
    """Writes the file of a project. Raises ``ProvisionError`` if it has content of somebody else's."""
    path = folder / STUBS
    try:
        if path.exists() and not path.read_text(encoding="utf-8").startswith(_HEADER):
            raise ProvisionError(f"Cannot write {path}: it was not written by tfkernels. Move its content elsewhere.")
        lines = [f"{name}: Any\n" for name in found]
        replace_text(path, "".join([_HEADER, "from typing import Any\n\n", *lines]))
    except (OSError, UnicodeDecodeError) as error:
        raise ProvisionError(f"Cannot write {path}: {error}.") from error
    return path


def ruff_setting(found: Iterable[str]) -> str:
    """The same for ruff, as a line of ``ruff.toml``."""
    return f"builtins = {json.dumps(list(found))}"
