"""Arguments of the magics, and the grammar of ``-i`` and ``-o``.

``a,b``, ``dest=EXPRESSION`` and, after ``-i``, ``dest=KERNEL:EXPRESSION``.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable
from typing import Any

from IPython.core.error import UsageError as IPythonUsageError
from IPython.core.magic_arguments import argument, parse_argstring

from tfkernels.errors import UsageError

_COMMENT = re.compile(r"""(^|\s)#[^'"]*$""")

# Around the whole, as users of a shell write it
_QUOTED = re.compile(r"""\A(['"])((?:(?!\1).)*)\1\Z""", re.DOTALL)

_ASSIGNMENT = re.compile(r"([^\W\d]\w*)\s*=(?!=)\s*(.+)", re.DOTALL)

# No Python expression begins like this, except a lambda without parameters.
_ELSEWHERE = re.compile(r"(?!lambda:)([A-Za-z0-9._-]+):(?!=)\s*(.+)", re.DOTALL)


def _seconds(text: str) -> float:
    seconds = float(text)
    if not seconds > 0:
        raise ValueError
    return seconds


_NAMES: dict[str, Any] = {"nargs": "+", "action": "append", "default": [], "metavar": "NAME"}

_CELL_OPTIONS = (
    argument(
        "-i",
        "--input",
        help="bind values of this kernel there before the cell runs: -i a,b or -i dest=EXPR; of another kernel: "
        "-i dest=KERNEL:EXPR; repeatable",
        **_NAMES,
    ),
    argument(
        "-o",
        "--output",
        help="bind values of that kernel here after the cell ran: -o c,d or -o dest=EXPR; repeatable",
        **_NAMES,
    ),
    argument("--timeout", type=_seconds, metavar="S", help="interrupt the cell after S seconds, and fail"),
)


def cell_options(magic: Any) -> Any:
    """Decorator: adds the options that all cell magics have."""
    return functools.reduce(lambda decorated, option: option(decorated), _CELL_OPTIONS, magic)


def parse(magic: Any, line: str) -> Any:
    """The arguments of a magic. Raises ``UsageError``; IPython's own leaves papermill without a message."""
    try:
        return parse_argstring(magic, _COMMENT.sub("", line))
    except IPythonUsageError as error:
        raise UsageError(str(error)) from None


def parse_names(values: Iterable[list[str]], option: str) -> dict[str, str]:
    """Expressions by the name that their value gets. ``values`` has the words after each use of the option.

    Raises ``UsageError`` for a part that is neither a name nor ``dest=EXPRESSION``.
    """
    names: dict[str, str] = {}
    for words in values:
        for part in map(str.strip, split(_QUOTED.sub(r"\2", " ".join(words)))):
            assignment = _ASSIGNMENT.fullmatch(part)
            name = elsewhere(part)[1] if option == "-i" else part
            if assignment:
                names[assignment[1]] = assignment[2]
            elif name.isidentifier():
                names[name] = part
            elif part:
                raise UsageError(
                    f"Cannot read {option} {part}: it is no name. Write names ({option} a,b), or a new name and an "
                    f"expression ({option} a={part})."
                )
    return names


def elsewhere(expression: str) -> tuple[str | None, str]:
    """Kernel and expression of ``KERNEL:EXPRESSION``; the kernel is ``None`` for an expression of this notebook."""
    found = _ELSEWHERE.fullmatch(expression.strip())
    return (found[1], found[2]) if found else (None, expression)


def split(text: str) -> list[str]:
    """Splits at the commas outside of brackets and strings."""
    parts, depth = [""], 0
    for piece in re.findall(r"""'[^']*'?|"[^"]*"?|.""", text, re.DOTALL):
        depth += (piece in "([{") - (piece in ")]}")
        if piece == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += piece
    return parts
