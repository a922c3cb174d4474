"""Tab in the cells and lines of our magics: completions of the kernel that they are for.

IPython's ``Completer.completions`` gives the matches to ipykernel 6 and 7 and to the prompt in a terminal; it is the
same in IPython 7 to 9. Ours replaces it on one shell. Outside of our magics it returns the generator of IPython's own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from IPython.core.completer import Completion, provisionalcompleter

from tfkernels import log
from tfkernels.client import discovery, kernelspecs, registry
from tfkernels.errors import TFKernelsError
from tfkernels.kernel_side.complete import variables
from tfkernels.notebook import cell_parser
from tfkernels.protocol import COMPLETE_MODE, MATCH_TYPES

ANSWER_TIMEOUT = 1.0
"""Seconds to wait for another kernel. Answers take milliseconds; TensorFlow 1's first one loads lazy modules."""

DISCOVERY_TIMEOUT = 0.2
"""Seconds that running kernels have to answer while the user types."""


def install(shell: Any) -> Callable[[], None]:
    """Makes the shell's completer ask the other kernels, too; returns a function that undoes it."""
    native = shell.Completer.completions

    def completions(text: str, offset: int) -> Iterable[Completion]:
        found = cell_parser.find(text, offset, is_kernel)
        if found is None:
            return native(text, offset)  # type: ignore[no-any-return]
        return _complete(found, shell, native, text, offset)

    shell.Completer.completions = completions

    def undo() -> None:
        del shell.Completer.completions

    return undo


def is_kernel(name: str) -> bool:
    """Whether ``%%name`` is the magic of a kernel."""
    found = registry.known.get(name)
    return found.magic == f"%%{name}" if found is not None else name in kernelspecs.find()


def ask(kernel: str, kind: str, content: dict[str, Any]) -> dict[str, Any] | None:
    """The content of a kernel's reply; ``None`` if it does not run, is busy, or does not answer in time."""
    found = registry.known.get(kernel)
    if found is None or found.state != "idle":
        return None
    try:
        reply = found.request(kind, content, ANSWER_TIMEOUT)
    except (TFKernelsError, TimeoutError):
        return None
    return reply if reply.get("status") == "ok" else None


def _complete(
    found: cell_parser.Code | cell_parser.Word, shell: Any, native: Any, text: str, offset: int
) -> Iterator[Completion]:
    if isinstance(found, cell_parser.Word):
        matches: Iterable[Completion] | None = _complete_word(found, shell, offset)
    elif found.kernel is None:
        names = variables(shell, found.text[: found.cursor])
        matches = [_completion(found.start, offset, name, kind) for name, kind in names.items()]
        if not matches:
            with provisionalcompleter():
                matches = [
                    _completion(c.start + found.start, c.end + found.start, c.text, c.type, c.signature)
                    for c in native(found.text, found.cursor)
                ]
    else:
        matches = _complete_code(found.kernel, found)
    yield from native(text, offset) if matches is None else matches


def _completion(start: int, end: int, text: str, kind: str | None, signature: str = "") -> Completion:
    with provisionalcompleter():
        return Completion(start, end, text, type=kind, signature=signature, _origin="tfkernels")


def _complete_word(word: cell_parser.Word, shell: Any, offset: int) -> list[Completion]:
    kind = "keyword" if word.kind in (cell_parser.OPTION, cell_parser.ACTION) else "instance"
    words = [text for text in _words(word, shell) if text.startswith(word.text)]
    return [_completion(word.start, offset, text, kind) for text in words]


def _words(word: cell_parser.Word, shell: Any) -> list[str]:
    """All words of the kind, in the order in which they are shown."""
    if word.kind == cell_parser.NOTHING:
        return []
    if word.kind == cell_parser.LOG_LEVEL:
        return [*log.LEVELS, "off"]
    if word.kind == cell_parser.CONNECTION:
        return [found.id for found in discovery.candidates(DISCOVERY_TIMEOUT)]
    if word.kind in (cell_parser.OPTION, cell_parser.ACTION):
        table = shell.magics_manager.magics
        parser = (table["cell"].get(word.magic) or table["line"][word.magic]).parser
        if word.kind == cell_parser.OPTION:
            return sorted(parser._option_string_actions)  # noqa: SLF001 (argparse has no public list)
        positional = [action for action in parser._actions if not action.option_strings]  # noqa: SLF001 (the same)
        return [str(choice) for action in positional for choice in action.choices or ()]
    names = {*kernelspecs.find(), *registry.known}
    if word.kind == cell_parser.ANY_KERNEL:
        names.update(kernelspecs.python_kernels())
    return sorted(names)


def _complete_code(kernel: str, code: cell_parser.Code) -> list[Completion] | None:
    """``None`` if the kernel cannot answer now."""
    content = {"code": code.text, "cursor_pos": code.cursor, COMPLETE_MODE: "value" if code.passed else "code"}
    reply = ask(kernel, "complete_request", content)
    if reply is None:
        return None
    start, end = reply["cursor_start"] + code.start, reply["cursor_end"] + code.start
    described = {match["text"]: match for match in reply["metadata"].get(MATCH_TYPES, ())}
    matches = [(text, described.get(text, {})) for text in reply["matches"]]
    return [_completion(start, end, text, about.get("type"), about.get("signature") or "") for text, about in matches]
