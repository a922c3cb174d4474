"""The files of packages for another machine: which ones uv would take there.

uv says where each file is and how large it is (pylock.toml). It cannot keep the files themselves: its cache has wheels
unpacked only.
"""

import tempfile
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from packaging.utils import canonicalize_name, parse_wheel_filename

from tfprovisioner.bundles.platforms import Platform
from tfprovisioner.errors import BuildFailed
from tfprovisioner.resolution import pylock
from tfprovisioner.system import uv


@dataclass(frozen=True)
class PackageFile:
    """A wheel or a source distribution, and where it is."""

    package: str
    name: str
    url: str
    sha256: str
    size: int | None


def of(
    requirements: Iterable[str],
    python: str,
    platform: Platform,
    say: Callable[[str], None],
    options: Iterable[str] = (),
    hashes: Collection[str] | None = None,
    sources: Collection[str] = (),
) -> list[PackageFile]:
    """The files that uv would install for requirements, on a Python (minor version) of a platform.

    ``options`` are further ones for ``uv pip compile``. ``hashes``: the files that are allowed. Of the packages in
    ``sources`` it is the source distribution. Raises ``BuildFailed``.
    """
    command = [*uv.for_python(None, python), "--python-platform", platform.uv]
    command += ["--only-binary", ":all:", *(word for name in sources for word in ("--no-binary", name)), *options]
    ranks = {tag: rank for rank, tag in enumerate(platform.tags(python))}
    names = {canonicalize_name(name) for name in sources}
    with tempfile.TemporaryDirectory() as scratch:

        def run(words: list[str]) -> None:
            uv.run(words, Path(scratch), say)

        packages = pylock.packages("\n".join([*requirements, ""]), command, Path(scratch), run)
        return [_chosen(package, ranks, hashes, package["name"] in names, Path(scratch)) for package in packages]


def _chosen(
    package: Mapping[str, Any], ranks: Mapping[Any, int], hashes: Collection[str] | None, source: bool, below: Path
) -> PackageFile:
    listed = [package["sdist"]] if source else [*package.get("wheels", []), *filter(None, [package.get("archive")])]
    files = [_file(package["name"], entry, below) for entry in listed]
    allowed = [file for file in files if hashes is None or file.sha256 in hashes]
    fitting = [(rank, file) for file in allowed if (rank := _rank(file, ranks)) is not None]
    if not fitting:
        raise BuildFailed(
            f"The package index has no file of {package['name']} {package.get('version', '')} that fits and has an "
            f"expected hash. Check --index and UV_DEFAULT_INDEX."
        )
    return min(fitting, key=lambda pair: pair[0])[1]


def _rank(file: PackageFile, ranks: Mapping[Any, int]) -> int | None:
    """How well a wheel fits, ``None`` if it does not; a source distribution always does."""
    if not file.name.endswith(".whl"):
        return 0
    return min((ranks[tag] for tag in parse_wheel_filename(file.name)[3] if tag in ranks), default=None)


def _file(package: str, entry: Mapping[str, Any], below: Path) -> PackageFile:
    url = entry.get("url") or (below / entry["path"]).absolute().as_uri()
    name = entry.get("name") or unquote(urlsplit(url).path).rpartition("/")[2]
    size = entry.get("size")
    if size is None and url.startswith("file:"):
        size = Path(unquote(urlsplit(url).path)).stat().st_size
    return PackageFile(package, name, url, entry["hashes"]["sha256"], size)
