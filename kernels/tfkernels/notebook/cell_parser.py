"""Parser of the cell around the cursor: code of another kernel, a word of a magic's line, or nothing of ours.

Works on text only. Positions count characters (code points), as Jupyter's messages do.
"""

from __future__ import annotations

import re
from typing import Callable, NamedTuple, Union

from tfkernels.notebook.arguments import elsewhere, split


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
    """A word of a magic's line that is not code, up to the cursor."""

    kind: str
    magic: str
    text: str
    start: int


Found = Union[Code, Word, None]

IsKernel = Callable[[str], bool]

OPTION, ACTION, KERNEL, ANY_KERNEL, CONNECTION, LOG_LEVEL, NOTHING = (
    "option", "action", "kernel", "any kernel", "connection", "log level", "nothing",
)  # fmt: skip
"""Kinds of words: an option of the magic; what ``%tfkernels`` does; a kernel with a magic; any Python kernel of the
machine; a running kernel that can be attached."""

# Cell magics whose cell is one again, magic and all.
_TRANSPARENT = frozenset({"time", "timeit", "capture", "prun"})

_CELL_MAGIC = re.compile(r"%%([\w.-]+)(?=\s|$)")
_LINE_MAGIC = re.compile(r"\s*(?:[^\s%#\"'][^%#\"']*=\s*)?%([\w.-]+)[ \t]+")
_NAME = re.compile(r"([\w.-]+)\s+")
_OPTION = re.compile(r"(?<!\S)--?[a-z][a-z-]*(?=\s)")
_TO_HERE = frozenset({"-o", "--output"})
_FROM_HERE = frozenset({"-i", "--input"})


def find(cell: str, cursor: int, is_kernel: IsKernel) -> Found:
    """The part of the cell at the cursor, if it is ours. ``is_kernel`` says which names are magics of kernels."""
    if "%" not in cell:
        return None
    start = len(cell) - len(cell.lstrip("\n"))
    while True:
        end = cell.find("\n", start)
        line = cell[start : end if end >= 0 else len(cell)]
        magic = _CELL_MAGIC.match(line)
        if magic is None:
            return _in_line_magic(cell, cursor, is_kernel)
        if cursor <= start + len(line):
            return _on_magic_line(magic[1], line, cursor - start, start, is_kernel)
        kernel = _kernel(magic[1], line[magic.end() :].split(), is_kernel)
        if kernel is not None:
            return Code(kernel, cell[end + 1 :], cursor - end - 1, end + 1)
        if magic[1] not in _TRANSPARENT:
            return None
        start = end + 1


def _kernel(magic: str, words: list[str], is_kernel: IsKernel) -> str | None:
    """The kernel that runs the cell; of several, the first."""
    if magic in ("in", "each"):
        return words[0] if words and not words[0].startswith("-") else None
    return magic if is_kernel(magic) else None


def _on_magic_line(magic: str, line: str, column: int, start: int, is_kernel: IsKernel) -> Found:
    before = line[2 + len(magic) : column]
    if column <= 2 + len(magic) or not (magic in ("in", "each") or is_kernel(magic)):
        return None
    kernel = _kernel(magic, before.split(), is_kernel)
    word = re.search(r"\S*$", before)
    assert word is not None
    if word[0].startswith("-"):
        return Word(OPTION, magic, word[0], start + column - len(word[0]))
    options = list(_OPTION.finditer(before))
    if options:
        option = options[-1]
        if option[0] in _TO_HERE | _FROM_HERE:
            return _value(kernel if option[0] in _TO_HERE else None, line, option.end() + 2 + len(magic), column, start)
        return None
    if magic == "each" or (magic == "in" and before[: len(before) - len(word[0])].isspace()):
        return Word(KERNEL if magic == "each" else ANY_KERNEL, magic, word[0], start + column - len(word[0]))
    return None


def _value(kernel: str | None, line: str, begin: int, column: int, start: int) -> Code:
    """The expression around the cursor after ``-i`` or ``-o``: ``EXPR`` of ``a,dest=EXPR``."""
    part = split(line[begin:column].lstrip("'\" "))[-1]
    expression = re.sub(r"^\s*\w+\s*=(?!=)\s*", "", part).lstrip()
    if kernel is None:
        kernel, expression = elsewhere(expression) if ":" in expression else (None, expression)
    rest = re.match(r"\w*", line[column:])
    assert rest is not None
    return Code(kernel, expression + rest[0], len(expression), start + column - len(expression), passed=True)


def _in_line_magic(cell: str, cursor: int, is_kernel: IsKernel) -> Found:
    """``%NAME EXPRESSION`` and ``%tfkernels …``, anywhere in a cell."""
    start = cell.rfind("\n", 0, cursor) + 1
    end = cell.find("\n", cursor)
    line = cell[start : end if end >= 0 else len(cell)]
    magic = _LINE_MAGIC.match(line)
    if magic is None or cursor < start + magic.end():
        return None
    name, begin = magic[1], magic.end()
    if name == "tfkernels":
        return _in_management_magic(line[begin : cursor - start], cursor)
    if name == "in":
        kernel = _NAME.match(line, begin)
        if kernel is None or cursor < start + kernel.end():
            return Word(ANY_KERNEL, name, line[begin : cursor - start], start + begin)
        name, begin = kernel[1], kernel.end()
    elif not is_kernel(name):
        return None
    return Code(name, line[begin:], cursor - start - begin, start + begin)


def _in_management_magic(before: str, cursor: int) -> Word:
    *earlier, word = ["", *before.split()] if before[-1:].strip() else ["", *before.split(), ""]
    actions = [action for action in earlier[1:] if not action.startswith("-")]
    if word.startswith("-"):
        kind = OPTION
    elif not actions:
        kind = ACTION
    else:
        kind = {"attach": CONNECTION, "log": LOG_LEVEL, "settings": NOTHING}.get(actions[0], KERNEL)
    return Word(kind, "tfkernels", word, cursor - len(word))
