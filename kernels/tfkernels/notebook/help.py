"""Shift-Tab in the cells and lines of our magics, and ``%tf1 obj?``: help of the kernel that they are for."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from tfkernels.notebook import cell_parser
from tfkernels.notebook.completion import ask, is_kernel

_QUESTION = re.compile(r"(\s*)%([\w.-]+)[ \t]+(\S.*\?)[ \t]*(\n?)")


def install(shell: Any) -> Callable[[], None]:
    """Makes a shell, and the ipykernel around it, ask the other kernels, too; returns a function that undoes it."""
    shell.input_transformers_cleanup.append(rewrite_questions)
    kernel = getattr(shell, "kernel", None)
    if kernel is not None:
        _install_in_kernel(kernel)

    def undo() -> None:
        shell.input_transformers_cleanup.remove(rewrite_questions)
        if kernel is not None:
            del kernel.do_inspect

    return undo


def rewrite_questions(lines: list[str]) -> list[str]:
    """``%tf1 obj?`` as a call of the magic: IPython would take it for a question about an object of its own."""
    if not any(line.rstrip().endswith("?") for line in lines) or lines[0].startswith("%%"):
        return lines
    return [_rewrite(line) for line in lines]


def _rewrite(line: str) -> str:
    found = _QUESTION.fullmatch(line)
    if found is None:
        return line
    indent, magic, question, end = found.groups()
    ours = magic == "in" or is_kernel(magic)
    return f"{indent}get_ipython().run_line_magic({magic!r}, {question!r}){end}" if ours else line


def _install_in_kernel(kernel: Any) -> None:
    native = kernel.do_inspect

    def do_inspect(code: str, cursor_pos: int, detail_level: int = 0, *omitted: Any, **options: Any) -> Any:
        found = cell_parser.find(code, cursor_pos, is_kernel)
        if isinstance(found, cell_parser.Code):
            if found.kernel is None:
                return native(found.text, found.cursor, detail_level, *omitted, **options)
            content = {"code": found.text, "cursor_pos": found.cursor, "detail_level": detail_level}
            if omitted:
                content["omit_sections"] = sorted(omitted[0])
            reply = ask(found.kernel, "inspect_request", content)
            if reply is not None:
                return reply
        return native(code, cursor_pos, detail_level, *omitted, **options)

    kernel.do_inspect = do_inspect
