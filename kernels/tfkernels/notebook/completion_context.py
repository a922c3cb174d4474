"""Parser of the cell around the cursor: code of another kernel, a word of a magic's line, or nothing of ours.

Works on text only. Positions count characters (code points), as Jupyter's messages do.
"""

from __future__ import annotations

import re
from typing import Callable, NamedTuple

from tfkernels.notebook.magic_arguments import DESTINATION, Piece, elsewhere, pieces


class Code(NamedTuple):
    """Code of ``kernel`` (``None``: of the notebook's own), from ``start`` of the cell on.

    ``passed``: it is an expression after ``-i`` or ``-o``.
    """

    kernel: str | None
    text: str
    cursor: int
    start: int
    passed: bool = False


class Word(NamedTuple):
    """A word of a magic's line that is not code, up to the cursor.

    ``kind`` is what fits there: an "option" of the magic; an "action" of ``%tfkernels``; a "kernel" with a magic;
    "any kernel" of the machine; a "connection", a running kernel that can be attached; a "log level"; or "nothing".
    """

    kind: str
    magic: str
    text: str
    start: int


IsKernel = Callable[[str], bool]

# Cell magics whose cell is one again, magic and all.
_TRANSPARENT = frozenset({"time", "timeit", "capture", "prun"})

_CELL_MAGIC = re.compile(r"%%([\w.-]+)(?!\S)([^\n]*)")
_LINE_MAGIC = re.compile(r"\s*(?:[^\s%#\"'][^%#\"']*=\s*)?%([\w.-]+)[ \t]+")
_NAME = re.compile(r"([\w.-]+)\s+")


def find(cell: str, cursor: int, is_kernel: IsKernel) -> Code | Word | None:
    """The part of the cell at the cursor, if it is ours. ``is_kernel`` says which names are magics of kernels."""
    start = len(cell) - len(cell.lstrip("\n"))
    while True:
        magic = _CELL_MAGIC.match(cell, start)
        if magic is None:
            return _in_line_magic(cell, cursor, is_kernel)
        name, start = magic[1], magic.end() + 1
        ours = name in ("in", "each") or is_kernel(name)
        if cursor < start:
            return _in_cell_magic(name, cell[magic.start(2) : cursor], cell[cursor:], cursor) if ours else None
        if ours:
            kernel = _kernel(name, magic[2])
            return None if kernel is None else Code(kernel, cell[start:], cursor - start, start)
        if name not in _TRANSPARENT:
            return None


def _kernel(magic: str, line: str) -> str | None:
    """The kernel that runs the cell; of several, the first."""
    if magic not in ("in", "each"):
        return magic
    first = (line.split() or ["-"])[0]
    return None if first.startswith("-") else first


def _in_cell_magic(magic: str, before: str, after: str, cursor: int) -> Code | Word | None:
    """On the line of a cell magic; ``before`` the cursor, behind the magic's name, and ``after`` it."""
    if not before:
        return None
    found = [Piece("word", "", 0), *pieces(before)]
    last = found[-1]
    word = re.split(r"\s", before)[-1]
    if last.kind in ("-i", "-o") and (last.start < len(before) or not word.startswith("-")):
        kernel = _kernel(magic, before) if last.kind == "-o" else None
        expression = DESTINATION.sub("", before[last.start :])
        if kernel is None:
            kernel, expression = elsewhere(expression)
        rest = re.split(r"\W", after, maxsplit=1)[0]
        return Code(kernel, expression + rest, len(expression), cursor - len(expression), passed=True)
    start = cursor - len(word)
    if last.kind == "comment":
        return None
    if word.startswith("-"):
        return Word("option", magic, word, start)
    if any(piece.text.startswith("-") for piece in found):
        return None
    if magic == "each":
        return Word("kernel", magic, word, start)
    return Word("any kernel", magic, word, start) if magic == "in" and before.strip() == word else None


def _in_line_magic(cell: str, cursor: int, is_kernel: IsKernel) -> Code | Word | None:
    """``%NAME EXPRESSION`` and ``%tfkernels …``, anywhere in a cell."""
    end = f"{cell}\n".find("\n", cursor)
    magic = _LINE_MAGIC.match(cell, cell.rfind("\n", 0, cursor) + 1, end)
    if magic is None or cursor < magic.end():
        return None
    name, start = magic[1], magic.end()
    if name == "tfkernels":
        return _in_management_magic(cell[start:cursor], cursor)
    if name == "in":
        kernel = _NAME.match(cell, start, end)
        if kernel is None or cursor < kernel.end():
            return Word("any kernel", name, cell[start:cursor], start)
        name, start = kernel[1], kernel.end()
    elif not is_kernel(name):
        return None
    return Code(name, cell[start:end], cursor - start, start)


def _in_management_magic(before: str, cursor: int) -> Word:
    *earlier, word = re.split(r"\s+", before)
    actions = [action for action in earlier if not action.startswith("-")]
    if actions[:1] == ["install"]:  # the command's own
        kind = "nothing"
    elif word.startswith("-"):
        kind = "option"
    elif not actions:
        kind = "action"
    else:
        kind = {"attach": "connection", "log": "log level", "settings": "nothing"}.get(actions[0], "kernel")
    return Word(kind, "tfkernels", word, cursor - len(word))
