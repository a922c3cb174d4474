"""The command ``stubs``: names that magics bind, for editors and linters."""

from pathlib import Path
from typing import Annotated

from typer import Argument

from tfprovisioner.cli import shared_options
from tfprovisioner.cli.console import answering, print_json


def stubs(
    paths: Annotated[
        list[Path] | None,
        Argument(metavar="NOTEBOOK|DIR…", help="Notebooks, or folders of them.", show_default="this folder"),
    ] = None,
    as_json: shared_options.Json = False,
) -> None:
    """Tell editors and linters the names that cells bind with -o.

    Writes __builtins__.pyi into this folder, for VS Code (Pylance), pyright and basedpyright. Prints the setting for
    ruff.
    """
    from tfprovisioner.notebook_metadata import editor_stubs

    with answering():
        files = editor_stubs.notebooks(paths or [Path()])
        found = sorted({name for file in files for name in editor_stubs.names(file)})
        path = editor_stubs.write(Path.cwd(), found)
    if as_json:
        print_json({"names": found, "notebooks": [str(file) for file in files], "path": str(path)})
        return
    print(f"{path.name}: {len(found)} names of {len(files)} notebooks, for VS Code and pyright.")
    print(f"For ruff, put this line into ruff.toml: {editor_stubs.ruff_setting(found)}")
