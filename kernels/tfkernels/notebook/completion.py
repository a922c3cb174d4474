"""Tab in the cells and lines of our magics: matches of the kernel that they are for.

IPython's ``Completer.completions`` is what ipykernel 6 and 7, and the prompt in a terminal, ask for matches; it is the
same in IPython 7 to 9. Ours stands before it, on one shell. Outside of our magics its own generator is handed out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

from IPython.core.completer import Completion, provisionalcompleter

from tfkernels.kernel_side.complete import MARK, TYPES, variables
from tfkernels.notebook import asking, candidates, cell_parser


class Match(NamedTuple):
    """One of the texts that could stand from ``start`` to ``end`` of the cell."""

    start: int
    end: int
    text: str
    type: str | None
    signature: str = ""


def put_on(shell: Any) -> Callable[[], None]:
    """Makes the shell's completer ask the other kernels, too; returns what takes that back."""
    native = shell.Completer.completions

    def completions(text: str, offset: int) -> Iterable[Completion]:
        found = cell_parser.find(text, offset, asking.is_kernel)
        if found is None:
            return native(text, offset)  # type: ignore[no-any-return]
        return _ours(found, shell, native, text, offset)

    shell.Completer.completions = completions

    def take_back() -> None:
        del shell.Completer.completions

    return take_back


def _ours(
    found: cell_parser.Code | cell_parser.Word, shell: Any, native: Any, text: str, offset: int
) -> Iterator[Completion]:
    if isinstance(found, cell_parser.Word):
        matches: Iterable[Match] | None = _words(found, shell, offset)
    elif found.kernel is None:
        before = found.text[: found.cursor]
        matches = [Match(found.start, offset, *name) for name in variables(shell, before).items()]
        matches = matches or _moved(native(found.text, found.cursor), found.start)
    else:
        matches = _elsewhere(found.kernel, found)
    if matches is None:
        yield from native(text, offset)
        return
    for match in matches:
        with provisionalcompleter():
            made = Completion(
                match.start, match.end, match.text, type=match.type, signature=match.signature, _origin="tfkernels"
            )
        yield made


def _words(word: cell_parser.Word, shell: Any, offset: int) -> list[Match]:
    return [
        Match(
            word.start, offset, text, "keyword" if word.kind in (cell_parser.OPTION, cell_parser.ACTION) else "instance"
        )
        for text in candidates.find(word, shell)
        if text.startswith(word.text)
    ]


def _moved(completions: Iterable[Completion], start: int) -> list[Match]:
    with provisionalcompleter():
        return [Match(c.start + start, c.end + start, c.text, c.type, c.signature) for c in completions]


def _elsewhere(kernel: str, code: cell_parser.Code) -> list[Match] | None:
    """``None``: it cannot say, at least not now."""
    content = {"code": code.text, "cursor_pos": code.cursor, MARK: "value" if code.passed else "code"}
    reply = asking.ask(kernel, "complete_request", content)
    if reply is None:
        return None
    start, end = reply["cursor_start"] + code.start, reply["cursor_end"] + code.start
    typed = {match["text"]: match for match in reply["metadata"].get(TYPES, ())}
    return [
        Match(start, end, text, typed.get(text, {}).get("type"), typed.get(text, {}).get("signature") or "")
        for text in reply["matches"]
    ]
