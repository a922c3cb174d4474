"""Division of pytest's command line: what holds here, and what the pytest of each release gets."""

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pytest
from _pytest.config import get_config

_HERE = ("--junitxml", "--junit-xml", "--junitprefix", "--junit-prefix", "--color", "--code-highlight")
_OF_REPORTS = ("--durations", "--durations-min", "-r", "--pastebin", "--no-header", "--no-summary", "--basetemp")
"""Builtin options that hold for the one report. ``--basetemp`` is a folder that each release gets a part of."""

_REPLACED = ("-n", "--numprocesses", "--maxprocesses", "--dist", "--tx", "--cov", "--no-cov", "--maxschedchunk")
"""Options of plugins that would do here what the releases' processes do. ``--cov`` also stands for ``--cov-report``."""

_DEBUGGER = ("--pdb", "--trace", "--pdbcls")


@dataclass(frozen=True)
class Divided:
    """The words of a command line."""

    here: list[str]
    releases: list[str]
    """In the order that the user gave them."""
    optional: list[list[str]]
    """Options among ``releases``, with their values, that a plugin of this Python reads. Others may lack it."""
    plugin_ini: list[str]
    """Names of settings that plugins of this Python read."""


def divide(parser: Any, words: Sequence[str]) -> Divided:
    """Raises ``pytest.UsageError`` for what does not work with several releases."""
    own = _actions(parser)
    plain = get_config()._parser  # noqa: SLF001
    builtin = _actions(plain)
    divided = Divided([], [], [], sorted(_ini_names(parser) - _ini_names(plain) - {"tf_with"}))
    for option, group in _groups(list(words), own):
        if option in _DEBUGGER:
            raise pytest.UsageError(
                f"Cannot use {option} with --tf: tests run in processes without a terminal. Omit it."
            )
        if option is None or option not in own:
            divided.releases.extend(group)
            if option is None:
                divided.here.extend(group)
        elif option.startswith("--tf"):
            divided.here.extend(group)
        elif option in builtin:
            divided.here.extend(group)
            if option not in _HERE + _OF_REPORTS:
                divided.releases.extend(group)
        else:
            if not option.startswith(_REPLACED):
                divided.here.extend(group)
            divided.releases.extend(group)
            divided.optional.append(group)
    return divided


def of_release(words: Sequence[str], release: str, releases: Sequence[str]) -> list[str] | None:
    """The arguments of one release. A test's name with a release at its end, as in the report, is for that one only.

    ``None``: all tests that the user named are for other releases.
    """
    kept, dropped = [], False
    for word in words:
        plain = without_release(word, releases)
        if plain is None:
            kept.append(word)
        elif plain[1] == release:
            kept.append(plain[0])
        else:
            dropped = True
    return None if dropped and not any("::" in word for word in kept) else kept


def with_release(test: str, release: str) -> str:
    """A test's name in the report: the release is the last parameter."""
    function = test.rpartition("::")[2]
    return f"{test[:-1]}-{release}]" if function.endswith("]") else f"{test}[{release}]"


def without_release(word: str, releases: Sequence[str]) -> tuple[str, str] | None:
    """The inverse of ``with_release``: the test and the release; ``None`` if there is none."""
    if "::" not in word or word.startswith("-"):
        return None
    for release in releases:
        if word.endswith(f"[{release}]"):
            return word.removesuffix(f"[{release}]"), release
        if word.endswith(f"-{release}]"):
            return word.removesuffix(f"-{release}]") + "]", release
    return None


def _groups(words: list[str], actions: dict[str, argparse.Action]) -> Iterator[tuple[str | None, list[str]]]:
    """Each option with its values, as argparse reads them; positional words with ``None``."""
    while words:
        word = words.pop(0)
        name = word.partition("=")[0]
        if word == "--":
            yield None, [word, *words]
            return
        if not word.startswith("-") or word == "-":
            yield None, [word]
        elif not word.startswith("--") and word not in actions and word[:2] in actions:
            yield word[:2], [word]  # -kname, or several letters in one
        elif name != word or word not in actions:
            yield name, [word]
        else:
            count = _values(actions[word], words)
            yield name, [word, *words[:count]]
            del words[:count]


def _values(action: argparse.Action, words: list[str]) -> int:
    """How many of the next words are values of an option."""
    if action.nargs is None:
        return 1
    if isinstance(action.nargs, int):
        return action.nargs
    free = next((place for place, word in enumerate(words) if word.startswith("-")), len(words))
    return min(free, 1) if action.nargs == "?" else free


def _actions(parser: Any) -> dict[str, argparse.Action]:
    """By option; pytest 9 keeps its parser, and older ones make it."""
    made = getattr(parser, "optparser", None) or parser._getparser()  # noqa: SLF001 (pytest has no public way)
    found: dict[str, argparse.Action] = made._option_string_actions  # noqa: SLF001
    return found


def _ini_names(parser: Any) -> set[str]:
    return set(parser._inidict)  # noqa: SLF001
