"""Downloads of files of packages, with the users of the indexes that uv is told of."""

import base64
import errno
import hashlib
import netrc
import os
import re
import time
import urllib.request
from collections.abc import Collection
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from http.client import HTTPException
from pathlib import Path
from urllib.error import HTTPError
from urllib.parse import unquote, urlsplit

from tfprovisioner.bundles.package_files import PackageFile
from tfprovisioner.errors import BuildFailed
from tfprovisioner.progress import Reporter
from tfprovisioner.system import subprocesses
from tfprovisioner.system.redact import redacted

_THREADS = 6
_TIMEOUT = 60.0
"""Seconds without a byte."""

_ATTEMPTS = 3
_PAUSE = 2.0
"""Seconds before another attempt: the network may be gone for a moment."""

_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EROFS)
_INDEXES = ("UV_DEFAULT_INDEX", "UV_INDEX", "UV_INDEX_URL", "UV_EXTRA_INDEX_URL")


def download(files: Collection[PackageFile], folder: Path, report: Reporter) -> None:
    """Fetches files into a folder, several at a time, and checks their hashes. Raises ``BuildFailed``."""
    work = _Downloads(files, folder, report)
    with ThreadPoolExecutor(_THREADS, "download") as threads:
        futures = [(file, threads.submit(work.fetch, file)) for file in files]
        try:
            for file, future in futures:
                try:
                    future.result()
                except (OSError, HTTPException, ValueError) as error:
                    raise BuildFailed(_failure(file, error)) from error
        except BaseException:  # also an interrupt: the other downloads end within a moment
            subprocesses.stop()
            threads.shutdown(wait=True, cancel_futures=True)
            subprocesses.resume()
            raise


class _Downloads:
    """All downloads together, for the bar of the progress."""

    def __init__(self, files: Collection[PackageFile], folder: Path, report: Reporter) -> None:
        self._total = sum(file.size or 0 for file in files)
        self._done = 0
        self._folder = folder
        self._report = report
        self._opener = urllib.request.build_opener(_Credentials())

    def fetch(self, file: PackageFile) -> None:
        """Fetches a file, again if the connection broke. Raises ``OSError``, ``HTTPException``, ``BuildFailed``."""
        for left in reversed(range(_ATTEMPTS)):
            try:
                self._attempt(file)
                break
            except (OSError, HTTPException) as error:
                refused = isinstance(error, HTTPError) and error.code < 500
                if refused or not left or getattr(error, "errno", None) in _DISK:
                    raise
                time.sleep(_PAUSE)
                subprocesses.check()

    def _attempt(self, file: PackageFile) -> None:
        digest, received = hashlib.sha256(), 0
        try:
            with (
                self._opener.open(file.url, timeout=_TIMEOUT) as source,
                (self._folder / file.name).open("wb") as target,
            ):
                while block := source.read(1 << 18):
                    subprocesses.check()
                    digest.update(block)
                    target.write(block)
                    received += len(block)
                    self._done += len(block)
                    self._report.fetched(self._done, self._total)
            if file.size is not None and received < file.size:
                raise ConnectionError("the connection ended early")
        except BaseException:
            self._done -= received
            raise
        if digest.hexdigest() != file.sha256:
            raise BuildFailed(
                f"The index or mirror serves another file {file.name} than the one that was verified. Check --index "
                f"and UV_DEFAULT_INDEX."
            )


def _failure(file: PackageFile, error: Exception) -> str:
    help_ = "Check the network, and HTTPS_PROXY if you use a proxy"
    if isinstance(error, HTTPError) and error.code in (401, 403, 407):
        help_ = "The index, or a proxy before it, wants a user: put it into the URL of --index, or into ~/.netrc"
    elif getattr(error, "errno", None) in _DISK:
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
