"""Output of the commands: tables and text on standard output, errors on standard error, or one JSON document."""

import errno
import importlib.util
import json
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any

from typer import Exit, confirm

from tfkernels.errors import TFKernelsError
from tfprovisioner.errors import ProvisionError, Unusable

NO_KERNELS = "No kernels yet. Install TensorFlow 1.15 and the newest 2.x with: tfkernels install"

WRONG_USAGE, INTERRUPTED = 2, 130
"""Exit codes, as in typer and in shells."""

_EXTRAS = {
    "batch": ("distributed", "cryptography", "jinja2"),
    "models": ("h5py",),
    "requirements": ("pip_requirements_parser", "poetry", "yaml"),
}
"""The modules that each extra brings."""


def require_extra(extra: str, command: str) -> None:
    """Ends ``tfkernels <command>`` with one line if packages of an extra are missing."""
    missing = next((name for name in _EXTRAS[extra] if importlib.util.find_spec(name) is None), None)
    if missing:
        problem = f"tfkernels {command} needs more packages: {missing!r} is not installed."
        complain(f"{problem} pip install 'tfkernels[{extra}]'.")
        raise Exit(WRONG_USAGE)


@contextmanager
def answering(
    code: int = 1, *wrong_usage: type[Exception], failed: Callable[[Exception], None] | None = None
) -> Iterator[None]:
    """Prints our errors as one paragraph on standard error, and exits with ``code``, or as for ``wrong_usage``.

    ``failed`` gets the error before that.
    """
    try:
        with _limits_named():
            yield
    except (ProvisionError, TFKernelsError) as error:
        complain(error)
        if failed is not None:
            failed(error)
        raise Exit(WRONG_USAGE if isinstance(error, (Unusable, *wrong_usage)) else code) from None


@contextmanager
def terminated_as_interrupted() -> Iterator[None]:
    """SIGTERM raises ``KeyboardInterrupt`` meanwhile, so that a command cleans up after itself."""

    def interrupt(*_: object) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # a second one would disturb the cleaning up
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def _limits_named() -> Iterator[None]:
    """Raises ``ProvisionError`` for what the system refuses: it can happen anywhere in a command."""
    try:
        yield
    except (OSError, RuntimeError) as error:
        limit = _limit(error)
        if limit is None:
            raise
        raise ProvisionError(f"The command was ended: {limit}.") from error


def _limit(error: OSError | RuntimeError) -> str | None:
    """The limit of the system that ended a command, and what helps; ``None`` if it was something else."""
    number = getattr(error, "errno", None)
    if number == errno.EAGAIN or str(error) == "can't start new thread":
        return "the limit of processes and threads is reached. End some programs, or raise the limit (ulimit -u)"
    if number in (errno.ENOSPC, errno.EDQUOT):
        return f"{error}. Free some space"
    return None


def complain(problem: object) -> None:
    from rich.console import Console

    Console(stderr=True, soft_wrap=True).print("[red]error:[/red]", end=" ")
    say(str(problem))


def say(text: str) -> None:
    """Progress and hints, on standard error: standard output is for the answer."""
    print(harmless(text), file=sys.stderr, flush=True)


def harmless(text: str) -> str:
    """A text without signs that a terminal acts on: parts of it may be of a foreign file."""
    return "".join(sign if sign.isprintable() or sign in "\n\t" else ascii(sign)[1:-1] for sign in text)


def confirmed(question: str, yes: bool) -> bool:
    """The user's answer; ``yes`` if it was given with --yes. Exits if nobody can be asked."""
    if yes:
        return True
    if not can_ask():
        complain(f"{question} Nobody can be asked here, so nothing was changed. Add --yes.")
        raise Exit(WRONG_USAGE)
    return confirm(question, err=True)


def can_ask() -> bool:
    """Whether somebody is there to answer."""
    return sys.stdin.isatty()


def print_json(document: Any) -> None:
    """Dataclasses are allowed."""
    print(json.dumps(document, indent=1, default=asdict))


def print_table(columns: Sequence[str], rows: Sequence[Sequence[str]], *, errors: bool = False) -> None:
    """On standard output; with ``errors`` on standard error."""
    from rich.console import Console  # a quarter of a command's start
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*map(harmless, row))
    console = Console(stderr=errors, markup=False)  # brackets are extras of packages
    if not console.is_terminal:  # in a pipe or a file a row is a line
        console.width = console.measure(table, options=console.options.update(width=10_000)).maximum
    console.print(table)


def megabytes(size: int | None) -> str:
    return "" if size is None else f"{size / 1e6:,.0f} MB"
