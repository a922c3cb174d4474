"""Arguments of the magics, and the grammar of ``-i`` and ``-o``.

``a,b``, ``dest=EXPRESSION`` and, after ``-i``, ``dest=KERNEL:EXPRESSION``. Python's parser says where an expression
ends: at the first comma, option or comment that has an expression before it.
"""

from __future__ import annotations

import functools
import re
import warnings
from argparse import ArgumentTypeError
from collections.abc import Generator, Iterable, Iterator
from typing import Any, NamedTuple

from IPython.core.error import UsageError as IPythonUsageError
from IPython.core.magic_arguments import argument

from tfkernels.errors import UsageError

DESTINATION = re.compile(r"^\s*([^\W\d]\w*)\s*=(?!=)\s*")
"""The name in ``dest=EXPRESSION``."""

_VALUES = re.compile(r"(?:-|--)(?:(i|in|inp|inpu|input)|o|ou|out|outp|outpu|output)(?:=|\s+|$)")
_LONG = {"-i": "--input", "-o": "--output"}
_WORD = re.compile(r"""(?P<quote>["']?)(?P<text>.*?)(?P=quote)(?=\s|$)""")

# Around all values of an option, as users of a shell write it
_QUOTED = re.compile(r"""(["'])((?:(?!\1).)*)(?:\1(?=\s|$)|$)""")

# Where a value may end
_COMMA = re.compile(r",|\s*$")
_OPTION = r"\s+(?=#|--?(?:[a-z]|$))"  # or a comment
_COMMA_OR_OPTION = re.compile(rf",|{_OPTION}|\s*$")

# No Python expression begins like this, except a lambda without parameters.
_ELSEWHERE = re.compile(r"(?!lambda:)([A-Za-z0-9._-]+):(?!=)\s*(.+)", re.DOTALL)


class Piece(NamedTuple):
    """Part of a magic's line, from ``start`` on.

    ``kind`` is "word", "comment" or, for one value of an option, "-i" or "-o".
    """

    kind: str
    text: str
    start: int


def pieces(line: str) -> Iterator[Piece]:
    """All parts of a magic's line. A value that is no Python, or not yet, goes to the end of the line."""
    position = _skip_space(line, 0)
    while position < len(line):
        option = _VALUES.match(line, position)
        word = _WORD.match(line, position)
        quoted = option and _QUOTED.match(line, option.end())
        if line[position] == "#":
            yield Piece("comment", line[position:], position)
            return
        if option is None:
            assert word is not None
            yield Piece("word", word["text"], position)
            position = word.end()
        elif quoted:
            yield from _values(_name(option), line[: quoted.end(2)], quoted.start(2), _COMMA)
            position = quoted.end()
        else:
            position = yield from _values(_name(option), line, option.end(), _COMMA_OR_OPTION)
        position = _skip_space(line, position)


def _skip_space(line: str, position: int) -> int:
    return len(line) - len(line[position:].lstrip())


def _name(option: re.Match[str]) -> str:
    return "-i" if option[1] else "-o"


def _values(option: str, line: str, start: int, ends: re.Pattern[str]) -> Generator[Piece, None, int]:
    """The values of one option. Returns where the last one ends."""
    while True:
        start = _skip_space(line, start)
        found = list(ends.finditer(line, start))
        end = next((end for end in found if _syntax_error(option, line[start : end.start()]) is None), found[-1])
        yield Piece(option, line[start : end.start()], start)
        start = end.end()
        following = ends.match(line, start)
        if end[0] != "," or (following and following[0].isspace() and following.end() < len(line)):
            return start  # also after a last comma, if an option follows


def _syntax_error(option: str, value: str) -> str | None:
    """Python's message about a value that is no expression."""
    expression = DESTINATION.sub("", value)
    if option == "-i":
        expression = elsewhere(expression)[1]
    if value:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # the evaluation shows them, once
                compile(expression.strip(), option, "eval", dont_inherit=True)
        except SyntaxError as error:
            return error.msg
    return None


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0
    if not seconds > 0:
        raise ArgumentTypeError(f"{text} is no number of seconds above 0. Write, for example, --timeout 30")
    return seconds


_NAMES: dict[str, Any] = {"action": "append", "default": [], "metavar": "NAMES"}

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
    return functools.reduce(lambda decorated, option: option(decorated), reversed(_CELL_OPTIONS), magic)


def parse(magic: Any, line: str) -> Any:
    """The arguments of a magic. Raises ``UsageError``; IPython's own leaves papermill without a message."""
    words = [
        piece.text if piece.kind == "word" else f"{_LONG[piece.kind]}={piece.text}"
        for piece in pieces(line)
        if piece.kind != "comment"
    ]
    try:
        return magic.parser.parse_args(words)
    except IPythonUsageError as error:
        name = magic.parser.prog.split()[0]
        raise UsageError(f"{str(error).rstrip('.')}. Show all options with: %{name}?") from None


def parse_names(values: Iterable[str], option: str) -> dict[str, str]:
    """Expressions by the name that their value gets. ``values`` has those of all uses of the option.

    Raises ``UsageError`` for a value that is neither a name nor ``dest=EXPRESSION``.
    """
    values = list(values)
    names: dict[str, str] = {}
    for value in filter(None, values):
        assignment = DESTINATION.match(value)
        expression = value[assignment.end() :] if assignment else value
        name = assignment[1] if assignment else elsewhere(value)[1] if option == "-i" else value
        problem = _syntax_error(option, value)
        if problem is not None:
            raise _unreadable(option, re.split(_OPTION, value)[0], f"it is no Python ({problem})")
        if not name.isidentifier():
            raise _unreadable(option, value, "it is no name")
        names[name] = expression
    if values and not names:
        raise UsageError(f"{option} needs a name: {option} a,b")
    return names


def _unreadable(option: str, value: str, problem: str) -> UsageError:
    words = value.split()
    if len(words) > 1 and all(word.isidentifier() for word in words):
        return UsageError(f"Cannot read {option} {value}: names need commas between. Write {option} {','.join(words)}")
    return UsageError(
        f"Cannot read {option} {value}: {problem}. Write names ({option} a,b), or a new name and a Python expression "
        f"({option} a=b[0])."
    )


def elsewhere(expression: str) -> tuple[str | None, str]:
    """Kernel and expression of ``KERNEL:EXPRESSION``; the kernel is ``None`` for an expression of this notebook."""
    found = _ELSEWHERE.fullmatch(expression.strip())
    return (found[1], found[2]) if found else (None, expression)
