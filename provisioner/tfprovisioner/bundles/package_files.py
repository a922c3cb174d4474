"""The files of packages for another machine: which ones uv would take there, and their download.

uv says where each file is and how large it is (pylock.toml). It cannot keep the files themselves: its cache has wheels
unpacked only.
"""

import base64
import hashlib
import netrc
import os
import re
import sys
import tempfile
import urllib.request
from collections.abc import Callable, Collection, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.parse import unquote, urlsplit

from packaging.utils import canonicalize_name, parse_wheel_filename

from tfprovisioner.bundles.platforms import Platform
from tfprovisioner.environments import locked_files
from tfprovisioner.errors import BuildFailed
from tfprovisioner.progress import Reporter
from tfprovisioner.system import subprocesses, uv
from tfprovisioner.system.redact import redacted

_THREADS = 6
_TIMEOUT = 60.0
"""Seconds without a byte."""

_INDEXES = ("UV_DEFAULT_INDEX", "UV_INDEX", "UV_INDEX_URL", "UV_EXTRA_INDEX_URL")


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
    command = ["--python", sys.executable, "--python-version", python, "--python-platform", platform.uv]
    command += ["--only-binary", ":all:", *(word for name in sources for word in ("--no-binary", name)), *options]
    ranks = {tag: rank for rank, tag in enumerate(platform.tags(python))}
    names = {canonicalize_name(name) for name in sources}
    with tempfile.TemporaryDirectory() as scratch:

        def run(words: list[str]) -> None:
            uv.run(words, Path(scratch), say)

        packages = locked_files.packages("\n".join([*requirements, ""]), command, Path(scratch), run)
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


def download(files: Collection[PackageFile], folder: Path, report: Reporter) -> None:
    """Fetches files into a folder, several at a time, and checks their hashes. Raises ``BuildFailed``."""
    done = 0
    total = sum(file.size or 0 for file in files)
    opener = urllib.request.build_opener(_Credentials())

    def fetch(file: PackageFile) -> None:
        nonlocal done
        digest = hashlib.sha256()
        with opener.open(file.url, timeout=_TIMEOUT) as source, (folder / file.name).open("wb") as target:
            while block := source.read(1 << 18):
                subprocesses.check()
                digest.update(block)
                target.write(block)
                done += len(block)
                report.fetched(done, total)
        if digest.hexdigest() != file.sha256:
            raise BuildFailed(
                f"The index or mirror serves another file {file.name} than the one that was verified. Check --index "
                f"and UV_DEFAULT_INDEX."
            )

    with ThreadPoolExecutor(_THREADS, "download") as threads:
        futures = [(file, threads.submit(fetch, file)) for file in files]
        try:
            for file, future in futures:
                try:
                    future.result()
                except (OSError, ValueError) as error:
                    raise BuildFailed(_failure(file, error)) from error
        except BaseException:  # also an interrupt: the other downloads end within a moment
            subprocesses.stop()
            threads.shutdown(wait=True, cancel_futures=True)
            subprocesses.resume()
            raise


def _failure(file: PackageFile, error: OSError | ValueError) -> str:
    help_ = "Check the network, and HTTPS_PROXY if you use a proxy"
    if isinstance(error, HTTPError) and error.code in (401, 403, 407):
        help_ = "The index, or a proxy before it, wants a user: put it into the URL of --index, or into ~/.netrc"
    elif isinstance(error, OSError) and error.errno is not None and error.filename:
        help_ = "Free some space, or choose another place with -o"
    return f"{file.name} could not be fetched from {redacted(file.url)}: {redacted(str(error))}. {help_}."


class _Credentials(urllib.request.BaseHandler):
    """Sends the user of an index to its host, as uv does: from the index's URL, else from ~/.netrc."""

    def __init__(self) -> None:
        words = " ".join(os.environ.get(name, "") for name in _INDEXES).split()
        urls = [urlsplit(re.sub(r"^[\w-]+=(?=\w+://)", "", word)) for word in words]  # UV_INDEX may have names
        self._known = {
            url.hostname: (unquote(url.username), unquote(url.password or "")) for url in urls if url.username
        }
        with suppress(OSError, netrc.NetrcParseError):
            for host, (user, _, password) in netrc.netrc().hosts.items():
                self._known.setdefault(host, (user, password or ""))

    def http_request(self, request: urllib.request.Request) -> urllib.request.Request:
        pair = self._known.get(urlsplit(request.full_url).hostname)
        if pair is not None:
            encoded = base64.b64encode(":".join(pair).encode()).decode()
            request.add_unredirected_header("Authorization", f"Basic {encoded}")
        return request

    https_request = http_request
