"""``make conversions``: converts specimens, and writes the page with the table."""

import random
from pathlib import Path
from typing import Annotated

import typer

from conversion_table import findings, making, measure, page, specimens


def main(
    folder: Annotated[Path, typer.Argument(help="Folder with a folder of specimens for each release.")],
    results: Annotated[Path, typer.Option(help="File of measured results; it is continued.")],
    to: Annotated[list[str] | None, typer.Option(help="Target; repeatable.", show_default="2.15 2.21")] = None,
    make: Annotated[
        list[str] | None, typer.Option(help="Release that makes its specimens first, or `all`; repeatable.")
    ] = None,
    custom_objects: Annotated[Path, typer.Option(help="Module of the specimens' own layers.")] = making.CUSTOM_OBJECTS,
    only: Annotated[list[str] | None, typer.Option(help="A part of a specimen's name; repeatable.")] = None,
    found: Annotated[Path | None, typer.Option(help="File for what fails, by cause.")] = None,
    plain: Annotated[
        bool, typer.Option("--plain", help="Load each specimen plainly, instead of converting it.")
    ] = False,
    write_page: Annotated[bool, typer.Option("--write-page", help="Write the page of the docs.")] = False,
) -> None:
    """Convert specimens, and write the table of what works."""
    making.make(folder, making.RELEASES if make == ["all"] else make or ())
    chosen = [one for one in specimens.read(folder) if not only or any(part in one.name for part in only)]
    # In an order that mixes all kinds, a part of the results says something of all. It is the same each time.
    random.Random(0).shuffle(chosen)  # noqa: S311
    try:
        measure.measure(chosen, to or ["2.15", "2.21"], custom_objects, results, "plain" if plain else "outcome")
    finally:
        entries = [entry for entry in measure.read(results) if "outcome" in entry]
        print(findings.summary(entries))
        if found is not None:
            found.write_text(findings.text(entries), encoding="utf-8")
        if write_page:
            page.write(entries, len(specimens.read(folder)))


typer.run(main)
