"""Tab, Shift-Tab and ``obj?`` in the cells and lines of our magics: the kernel that they are for answers.

IPython's ``Completer.completions`` gives the matches to ipykernel 6 and 7 and to the prompt in a terminal; it is the
same in IPython 7 to 9. Ours replaces it on one shell. Outside of our magics it returns the generator of IPython's own.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from contextlib import ExitStack
from typing import Any

from IPython.core.completer import Completion, provisionalcompleter

from tfkernels import log
from tfkernels.client import discovery, kernels_by_name, kernelspecs
from tfkernels.errors import TFKernelsError
from tfkernels.kernel_side.complete import variables
from tfkernels.notebook import tfkernels_magic
from tfkernels.notebook.completion_context import Code, Word, find
from tfkernels.protocol import COMPLETE_MODE, MATCH_TYPES

# Seconds
ANSWER_TIMEOUT = 10.0  # to wait for another kernel; most answers take milliseconds, Jedi's first one seconds
DISCOVERY_TIMEOUT = 0.2  # that running kernels have to answer while the user types

_QUESTION = re.compile(r"^(\s*)%([\w.-]+)[ \t]+(\S.*\?)[ \t]*$", re.MULTILINE)


def install(shell: Any) -> ExitStack:
    """Makes a shell, and the ipykernel around it, ask the other kernels, too, until the result is closed."""
    undo = ExitStack()
    native_completions = shell.Completer.completions

    def completions(text: str, offset: int) -> Iterable[Completion]:
        found = find(text, offset, is_kernel)
        if isinstance(found, Word):
            return _complete_word(found, shell, offset)
        matches = _complete_code(found, shell, native_completions, offset) if found is not None else None
        return native_completions(text, offset) if matches is None else matches

    shell.Completer.completions = completions
    undo.callback(delattr, shell.Completer, "completions")
    shell.input_transformers_cleanup.append(rewrite_questions)
    undo.callback(shell.input_transformers_cleanup.remove, rewrite_questions)
    kernel = getattr(shell, "kernel", None)  # not in a terminal
    if kernel is not None:
        native_inspect = kernel.do_inspect

        def do_inspect(code: str, cursor_pos: int, detail_level: int = 0, *omitted: Any, **options: Any) -> Any:
            found = find(code, cursor_pos, is_kernel)
            if isinstance(found, Code) and found.kernel is not None:
                content = {"code": found.text, "cursor_pos": found.cursor, "detail_level": detail_level}
                if omitted:
                    content["omit_sections"] = sorted(omitted[0])
                reply = _ask(found.kernel, "inspect_request", content)
                if reply is not None:
                    return reply
            elif isinstance(found, Code):
                code, cursor_pos = found.text, found.cursor
            return native_inspect(code, cursor_pos, detail_level, *omitted, **options)

        kernel.do_inspect = do_inspect
        undo.callback(delattr, kernel, "do_inspect")
    return undo


def is_kernel(name: str) -> bool:
    """Whether ``%%name`` is the magic of a kernel."""
    found = kernels_by_name.known.get(name)
    return found.magic == f"%%{name}" if found is not None else name in kernelspecs.find()


def _ask(kernel: str, kind: str, content: dict[str, Any]) -> dict[str, Any] | None:
    """The content of a kernel's reply; ``None`` if it does not run, is busy, or does not answer in time."""
    found = kernels_by_name.known.get(kernel)
    if found is None or found.state != "idle":
        return None
    try:
        reply = found.request(kind, content, ANSWER_TIMEOUT)
    except (TFKernelsError, TimeoutError):
        return None
    return reply if reply.get("status") == "ok" else None


def _complete_code(code: Code, shell: Any, native: Any, offset: int) -> list[Completion] | None:
    """``None`` if the kernel cannot answer now."""
    if code.kernel is None:
        names = variables(shell, code.text[: code.cursor])
        if names:
            return [_completion(code.start, offset, name, kind) for name, kind in names.items()]
        with provisionalcompleter():
            return [
                _completion(match.start + code.start, match.end + code.start, match.text, match.type, match.signature)
                for match in native(code.text, code.cursor)
            ]
    content = {"code": code.text, "cursor_pos": code.cursor, COMPLETE_MODE: "value" if code.passed else "code"}
    reply = _ask(code.kernel, "complete_request", content)
    if reply is None:
        return None
    start, end = reply["cursor_start"] + code.start, reply["cursor_end"] + code.start
    described = {match["text"]: match for match in reply["metadata"].get(MATCH_TYPES, ())}
    matches = [(text, described.get(text, {})) for text in reply["matches"]]
    return [_completion(start, end, text, about.get("type"), about.get("signature") or "") for text, about in matches]


def _completion(start: int, end: int, text: str, kind: str | None, signature: str = "") -> Completion:
    with provisionalcompleter():
        return Completion(start, end, text, type=kind, signature=signature, _origin="tfkernels")


def _complete_word(word: Word, shell: Any, offset: int) -> list[Completion]:
    kind = "keyword" if word.kind in ("option", "action") else "instance"
    words = [text for text in _words(word, shell) if text.startswith(word.text)]
    return [_completion(word.start, offset, text, kind) for text in words]


def _words(word: Word, shell: Any) -> Iterable[str]:
    """All words of the kind, in the order in which they are shown."""
    if word.kind == "option":
        table = shell.magics_manager.magics
        magic = table["cell"].get(word.magic) or table["line"][word.magic]
        return sorted(magic.parser._option_string_actions)  # noqa: SLF001 (argparse has no public list)
    if word.kind == "action":
        return tfkernels_magic.ACTIONS
    if word.kind == "connection":
        return [found.id for found in discovery.candidates(DISCOVERY_TIMEOUT)]
    if word.kind == "log level":
        return [*log.LEVELS, "off"]
    if word.kind == "nothing":
        return []
    more = kernelspecs.python_kernels() if word.kind == "any kernel" else ()
    return sorted({*kernelspecs.find(), *kernels_by_name.known, *more})


def rewrite_questions(lines: list[str]) -> list[str]:
    """``%tf1 obj?`` as a call of the magic: IPython would take it for a question about an object of its own."""
    return lines if lines[0].startswith("%%") else [_QUESTION.sub(_rewritten, line) for line in lines]


def _rewritten(found: re.Match[str]) -> str:
    indent, magic, question = found.groups()
    ours = magic == "in" or is_kernel(magic)
    return f"{indent}get_ipython().run_line_magic({magic!r}, {question!r})" if ours else found[0]
