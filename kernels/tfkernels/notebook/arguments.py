"""The words after ``-i`` and ``-o``: ``a,b``, ``dest=EXPRESSION``, and, after ``-i``, ``dest=KERNEL:EXPRESSION``."""

from __future__ import annotations

import re
from collections.abc import Iterable

from tfkernels.errors import UsageError

_ASSIGNMENT = re.compile(r"\s*([^\W\d]\w*)\s*=(?!=)\s*(.+)", re.DOTALL)

# No Python expression begins like this, except a lambda without parameters.
_ELSEWHERE = re.compile(r"(?!lambda:)([A-Za-z0-9._-]+):(?!=)\s*(.+)", re.DOTALL)


def parse_names(values: Iterable[list[str]], option: str) -> dict[str, str]:
    """Expressions by the name that their value gets. ``values`` holds, per option, the words that followed it.

    Raises ``UsageError`` for a part that is neither a name nor ``dest=EXPRESSION``.
    """
    names: dict[str, str] = {}
    for words in values:
        for part in split(_unquoted(" ".join(words))):
            assignment = _ASSIGNMENT.fullmatch(part)
            if assignment:
                names[assignment[1]] = assignment[2].strip()
            elif part.strip().isidentifier():
                names[part.strip()] = part.strip()
            elif option == "-i" and elsewhere(part)[1].isidentifier():
                names[elsewhere(part)[1]] = part.strip()
            elif part.strip():
                raise UsageError(
                    f"{option} {part.strip()}: write a name ({option} a,b), or a new name and an expression "
                    f"({option} a={part.strip()})"
                )
    return names


def elsewhere(expression: str) -> tuple[str | None, str]:
    """Kernel and expression of ``KERNEL:EXPRESSION``; no kernel, if the expression is one of this notebook."""
    found = _ELSEWHERE.fullmatch(expression.strip())
    return (found[1], found[2]) if found else (None, expression)


def _unquoted(text: str) -> str:
    """Users of a shell put quotes around the whole."""
    quoted = len(text) > 1 and text[0] == text[-1] and text[0] in "'\"" and text[0] not in text[1:-1]
    return text[1:-1] if quoted else text


def split(text: str) -> list[str]:
    """At the commas that stand outside of brackets and strings."""
    parts, depth, quote, start = [], 0, "", 0
    for index, character in enumerate(text):
        if quote:
            quote = "" if character == quote else quote
        elif character in "'\"":
            quote = character
        elif character in "([{":
            depth += 1
        elif character in ")]}":
            depth -= 1
        elif character == "," and depth == 0:
            parts.append(text[start:index])
            start = index + 1
    return [*parts, text[start:]]
