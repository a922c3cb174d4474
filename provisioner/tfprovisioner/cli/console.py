"""What the commands say, and how: tables and words on standard output, errors on standard error, one JSON document."""

import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Annotated, Any

import typer

from tfkernels.errors import TFKernelsError
from tfprovisioner.errors import ProvisionError

JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON document and nothing else.")]

NO_KERNELS = "No kernels yet. Make the two usual ones with: tfkernels install"


@contextmanager
def answering(code: int = 1) -> Iterator[None]:
    """Turns what a user can mend into one paragraph on standard error, and an exit code."""
    try:
        yield
    except (ProvisionError, TFKernelsError) as error:
        complain(error)
        raise typer.Exit(code) from None


def complain(error: Exception, subject: str = "") -> None:
    from rich.console import Console

    Console(stderr=True, soft_wrap=True).print("[red]error:[/red]", end=" ")
    print(f"{subject}{error}", file=sys.stderr, flush=True)


def print_json(document: Any) -> None:
    print(json.dumps(document, indent=1))


def print_table(columns: Sequence[str], rows: Sequence[Sequence[str]], *, errors: bool = False) -> None:
    """On standard output; with ``errors`` on standard error."""
    from rich.console import Console  # not for every command: it takes a quarter of the start
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*row)
    console = Console(stderr=errors)
    if not console.is_terminal:  # in a pipe or a file a row is a line
        console.width = console.measure(table, options=console.options.update(width=10_000)).maximum
    console.print(table)


def megabytes(size: int | None) -> str:
    return "" if size is None else f"{size / 1e6:,.0f} MB"
