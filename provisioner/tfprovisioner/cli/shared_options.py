"""Options that several commands have, as types, and the values of those that name parameters and sizes."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

from typer import BadParameter, Option
from typer.core import TyperCommand

from tfkernels.env_vars import parse_size

Json = Annotated[bool, Option("--json", help="Print one JSON document and nothing else.")]

User = Annotated[
    bool, Option("--user", help="Register for all Jupyters of this user, not only the one with tfkernels.")
]

Prefix = Annotated[
    Path | None,
    Option(
        metavar="DIR",
        help="Register in DIR/share/jupyter, for all users whose Jupyters look there. /usr/local: all of this machine.",
    ),
]

Name = Annotated[str | None, Option(help="Name of the kernel.", show_default="its release's, like tf2.11")]

OnlyBinary = Annotated[
    bool | None,
    Option(
        "--only-binary/--no-only-binary",
        help="Refuse packages that have no wheel. Otherwise they are built from source: their code runs here.",
        show_default=False,
        rich_help_panel="Packages",
    ),
]

DryRun = Annotated[bool, Option("--dry-run", help="Only print what would be done.")]

Yes = Annotated[bool, Option("--yes", "-y", help="Do not ask.")]

Parameters = Annotated[
    list[str] | None, Option("--parameter", "-p", metavar="NAME VALUE", help="Parameter, as in papermill; repeatable.")
]

Baseline = Annotated[
    str | None,
    Option(metavar="KERNEL", help="Kernel that the others are compared with.", show_default="the first, or the oldest"),
]

Rtol = Annotated[
    float | None, Option(min=0, metavar="NUMBER", help="Relative tolerance of results recorded without one.")
]

Atol = Annotated[
    float | None, Option(min=0, metavar="NUMBER", help="Absolute tolerance of results recorded without one.")
]

CellTimeout = Annotated[float | None, Option(min=0.1, metavar="SECONDS", help="Time limit of one cell, in seconds.")]

Inputs = Annotated[
    list[Path] | None,
    Option(
        "--input",
        help="File or folder that the runs need; repeatable. Each run gets copies in a new folder, and the files it "
        "writes there are copied back. Without --input, a notebook runs in its own folder.",
    ),
]

AFTER = "tfprovisioner.after"
"""Key in a command's context: the words after ``--``."""


class WithArguments(TyperCommand):
    """A command that keeps words after ``--`` for a script, and takes ``-p NAME VALUE``, as papermill does."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if "--" in args:
            position = args.index("--")
            ctx.meta[AFTER] = args[position + 1 :]
            args = args[:position]
        return super().parse_args(ctx, _joined(args))


def _joined(args: list[str]) -> list[str]:
    """``-p NAME VALUE`` as ``-p NAME=VALUE``: typer has no repeatable options with two words."""
    joined: list[str] = []
    words = iter(args)
    for word in words:
        joined.append(word)
        if word in ("-p", "--parameter"):
            name = next(words, "")
            value = "" if "=" in name else next(words, None)
            if value is None:
                raise BadParameter("it needs two words: a name and a value", param_hint=word)
            joined.append(name if "=" in name else f"{name}={value}")
    return joined


def absolute_prefix(prefix: Path | None, user: bool) -> str | None:
    """The folder of ``--prefix``, which may be used from elsewhere."""
    if prefix is not None and user:
        raise BadParameter("it cannot be used with --user: choose one", param_hint="--prefix")
    return None if prefix is None else str(prefix.expanduser().absolute())


def parse_parameters(items: Sequence[str]) -> dict[str, Any]:
    """``lr=0.1`` as ``{"lr": 0.1}``."""
    found: dict[str, Any] = {}
    for item in items:
        name, _, value = item.partition("=")
        if not name.isidentifier():
            raise BadParameter(f"{name!r} is not a parameter name", param_hint="-p")
        found[name] = _parse_value(value)
    return found


def parse_grid(items: Sequence[str]) -> dict[str, list[Any]]:
    """``lr=0.1,0.01`` as ``{"lr": [0.1, 0.01]}``."""
    found: dict[str, list[Any]] = {}
    for item in items:
        name, _, values = item.partition("=")
        if not name.isidentifier() or not values:
            raise BadParameter(f"{item!r} is not of the form NAME=VALUE,VALUE", param_hint="--grid")
        if name in found:
            raise BadParameter(f"{name} is given twice", param_hint="--grid")
        found[name] = [_parse_value(value) for value in values.split(",")]
    return found


def _parse_value(text: str) -> Any:
    """As ``papermill -p`` takes it: a number, True, False, None, or text."""
    if text in ("True", "False", "None"):
        return {"True": True, "False": False, "None": None}[text]
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def parse_memory(text: str) -> int:
    """``1.5GB``, ``800 MiB``, or a number of bytes."""
    try:
        size = parse_size(text)
    except ValueError as error:
        raise BadParameter(str(error), param_hint="--memory") from None
    if not size:
        raise BadParameter(f"{text!r} is too little for a run", param_hint="--memory")
    return size
