"""uv's answer as ``pylock.toml`` (PEP 751), which has the files of each package."""

import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


def packages(
    requirements: str, options: Iterable[str], folder: Path, run: Callable[[list[str]], object]
) -> list[dict[str, Any]]:
    """The packages that uv would install for requirements; scratch files go to ``folder``.

    ``run`` runs uv. Raises what that raises.
    """
    source, found = folder / "pinned.txt", folder / "pylock.toml"
    arguments = ["pip", "compile", "--quiet", "--no-header", "--format", "pylock.toml", *options]
    try:
        source.write_text(requirements, encoding="utf-8")
        run([*arguments, str(source), "--output-file", str(found)])
        found_packages: list[dict[str, Any]] = tomllib.loads(found.read_text(encoding="utf-8")).get("packages", [])
        return found_packages
    finally:
        source.unlink(missing_ok=True)
        found.unlink(missing_ok=True)


def is_built(package: dict[str, Any]) -> bool:
    """Whether uv would build the package from its source distribution."""
    return "sdist" in package and not package.get("wheels")
