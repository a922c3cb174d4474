"""The words after a magic: what all cell magics share, and how they are read."""

from __future__ import annotations

import re
from typing import Any

from IPython.core.error import UsageError as IPythonUsageError
from IPython.core.magic_arguments import argument, parse_argstring

from tfkernels.errors import UsageError

_COMMENT = re.compile(r"""(^|\s)#[^'"]*$""")


def _seconds(text: str) -> float:
    seconds = float(text)
    if not seconds > 0:
        raise ValueError
    return seconds


def exchange(magic: Any) -> Any:
    """The options that all cell magics have."""
    for option in (
        argument(
            "-i",
            "--input",
            nargs="+",
            action="append",
            default=[],
            metavar="NAME",
            help="bind values of this kernel there before the cell runs: -i a,b or -i dest=EXPR; of another kernel: "
            "-i dest=KERNEL:EXPR; repeatable",
        ),
        argument(
            "-o",
            "--output",
            nargs="+",
            action="append",
            default=[],
            metavar="NAME",
            help="bind values of that kernel here after the cell ran: -o c,d or -o dest=EXPR; repeatable",
        ),
        argument("--timeout", type=_seconds, metavar="S", help="interrupt the cell after S seconds, and fail"),
    ):
        magic = option(magic)
    return magic


def parse(magic: Any, line: str) -> Any:
    try:
        return parse_argstring(magic, _COMMENT.sub("", line))
    except IPythonUsageError as error:  # IPython prints it, and what papermill then stops with is empty
        raise UsageError(str(error)) from None
