"""The words that can follow a magic: its options, what ``%tfkernels`` does, kernels."""

from __future__ import annotations

from typing import Any

from tfkernels.client import discovery, kernel, kernelspecs
from tfkernels.notebook import cell_parser

_AT_ONCE = 0.2
"""Seconds that kernels have to answer while somebody types."""


def find(word: cell_parser.Word, shell: Any) -> list[str]:
    """All of the word's kind, in the order in which they are shown."""
    if word.kind == cell_parser.OPTION:
        return sorted(_parser(shell, word.magic)._option_string_actions)  # noqa: SLF001 (argparse tells it nowhere)
    if word.kind == cell_parser.ACTION:
        actions = _parser(shell, word.magic)._actions  # noqa: SLF001 (the same)
        return [str(choice) for action in actions if not action.option_strings for choice in action.choices or ()]
    names = {*kernelspecs.find(), *kernel.known}
    if word.kind == cell_parser.ANY_KERNEL:
        names.update(kernelspecs.python_kernels())
    if word.kind == cell_parser.CONNECTION:
        return [found.id for found in discovery.candidates(_AT_ONCE)]
    return sorted(names)


def _parser(shell: Any, magic: str) -> Any:
    """What understands the magic's line; it knows the options of all of us."""
    table = shell.magics_manager.magics
    return (table["cell"].get(magic) or table["line"][magic]).parser
