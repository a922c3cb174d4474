"""``-p NAME VALUE`` on the command line, as papermill has it, and what its values mean."""

import json
from collections.abc import Iterable, Sequence
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

ParametersOption = Annotated[
    list[str] | None,
    typer.Option("--parameter", "-p", metavar="NAME VALUE", help="A parameter of the notebook; repeatable."),
]
"""Of a command that is made with ``cls=Command``."""

_OPTIONS = ("-p", "--parameter", "--parameters")
_WORDS = {"True": True, "False": False, "None": None}


class Command(TyperCommand):
    """One whose ``-p`` takes two words. typer has no option that does so and can be repeated."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        return super().parse_args(ctx, joined(args))


def joined(words: Sequence[str]) -> list[str]:
    """The words of a command line with ``-p NAME VALUE`` as ``-p NAME=VALUE``, which may be written so, too."""
    found, rest = [], iter(words)
    for word in rest:
        found.append(word)
        if word == "--":
            found += rest
        elif word in _OPTIONS:
            name = next(rest, None)
            value = next(rest, None) if name is not None and name.isidentifier() else None
            found += [name] if name is not None and value is None else [f"{name}={value}"] if name is not None else []
    return found


def typed(parameters: Iterable[str] | None) -> dict[str, Any]:
    """Parameters by name. A value is what JSON or Python calls so (``3``, ``1e-3``, ``[1, 2]``, ``True``), else text.

    Raises ``typer.BadParameter``.
    """
    found = {}
    for parameter in parameters or ():
        name, equals, text = parameter.partition("=")
        if not equals or not name.isidentifier():
            raise typer.BadParameter(f"{parameter!r} is not a name and a value: -p steps 100", param_hint="-p")
        found[name] = value(text)
    return found


def value(text: str) -> Any:
    """What the text of a parameter means."""
    try:
        return _WORDS[text] if text in _WORDS else json.loads(text)
    except ValueError:
        return text
