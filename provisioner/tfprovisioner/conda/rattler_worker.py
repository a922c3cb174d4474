"""Solves and installs conda packages with py-rattler, in a process of its own.

Run by path, ``python -I rattler_worker.py FOLDER``, and imports nothing of tfprovisioner. ``FOLDER`` is where
py-rattler is. The request is JSON in the variable ``TFKERNELS_CONDA_REQUEST``: it may hold a channel's password, and
everybody can read arguments. The answer is JSON lines, read by ``solve``. See docs/design/conda.md.
"""

import asyncio
import fnmatch
import hashlib
import json
import os
import re
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Any, NoReturn
from urllib.parse import unquote, urlsplit

sys.path.insert(0, sys.argv[1])

import rattler
import rattler.index
import rattler.package_streaming
from rattler.exceptions import FetchRepoDataError, GatewayError, SolverError


def main() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent gets it too, and kills
    threading.Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()
    request = json.loads(os.environ.pop("TFKERNELS_CONDA_REQUEST"))
    if request["offline"]:
        # The client has no switch for it; a proxy that is not there refuses whatever is not in the cache.
        os.environ.update(dict.fromkeys(("ALL_PROXY", "HTTPS_PROXY", "HTTP_PROXY", "http_proxy"), "http://127.0.0.1:9"))
        os.environ.update(NO_PROXY="", no_proxy="")
    try:
        asyncio.run(_work(request))
    except Exception as error:  # noqa: BLE001 - py-rattler has forty classes without a common base
        _fail(_kind(error), str(error))
    os._exit(0)


async def _work(request: dict[str, Any]) -> None:
    sources = [rattler.Channel(url) for url in request["channels"]]
    source = rattler.SourceConfig(cache_action="force-cache-only" if request["offline"] else "cache-or-fetch")
    gateway = rattler.Gateway(default_config=source)
    if request["tensorflow"] is not None:
        version, python = request["tensorflow"]
        versions, pythons = await _what_is_there(gateway, sources, version)
        if not fnmatch.filter(versions, version) or (pythons and python not in pythons):
            _say("lacks", versions=versions, pythons=pythons)
            return
    target = request.get("target")
    virtual: list[Any] = rattler.VirtualPackage.detect(rattler.VirtualPackageOverrides.from_env())
    platforms: list[Any] = [rattler.Subdir.current(), "noarch"]
    if target is not None:  # another machine
        virtual, platforms = [_virtual(text) for text in target["system"]], [target["subdir"], "noarch"]

    async def solved(constraints: list[str]) -> list[Any]:
        options: dict[str, Any] = {"gateway": gateway, "platforms": platforms, "virtual_packages": virtual}
        return await rattler.solve(sources, request["specs"], constraints=constraints, **options)

    try:
        records = await solved([*request["bounds"], *request["limits"]])
    except SolverError:
        if not request["bounds"]:
            raise
        records = await solved(request["limits"])
    for record in records:
        _check(record)
    facts = [
        {"name": record.name.normalized, "version": str(record.version), "url": record.url, "size": record.size}
        for record in records
    ]
    _say("solved", packages=len(records), bytes=sum(record.size or 0 for record in records), records=facts)
    if target is not None:
        await _download(records, Path(request["prefix"]))
    if target is not None or not request["prefix"]:
        _say("done")
        return
    reporter = _Reporter()  # type: ignore[abstract] # what it leaves out does nothing
    await rattler.install(records, request["prefix"], reporter=reporter, show_progress=False)
    _say("done")


async def _what_is_there(
    gateway: rattler.Gateway, sources: list[rattler.Channel], version: str
) -> tuple[list[str], list[str]]:
    """The versions of TensorFlow in the channels, and the Pythons that the requested one was built for."""
    found = await gateway.query(sources, [rattler.Subdir.current(), "noarch"], ["tensorflow"], recursive=False)
    versions: set[str] = set()
    minors: set[str] = set()
    for record in (record for channel in found for record in channel):
        versions.add(str(record.version))
        if fnmatch.fnmatch(str(record.version), version):
            # The Python that a build is for is in its requirements, or in its build string.
            required = [re.match(r"python(?:_abi)? (?:>=)?(\d\.\d+)", depends) for depends in map(str, record.depends)]
            from_build = re.search(r"py(\d)(\d+)", str(record.build))
            named = [f"{from_build[1]}.{from_build[2]}"] if from_build else []
            minors.update([match[1] for match in required if match] or named)
    return sorted(versions, key=rattler.Version), sorted(minors, key=rattler.Version)


def _virtual(text: str) -> Any:
    name, version, build = text.split("=")
    return rattler.GenericVirtualPackage(
        rattler.PackageName(name), rattler.Version(version), rattler.BuildString(build)
    )


async def _download(records: list[Any], folder: Path) -> None:
    """Fetches packages as they are into a channel of their own, ``folder``, and says the licence of each."""
    fetched = 0
    for record in records:
        path = folder / record.subdir / record.file_name
        path.parent.mkdir(parents=True, exist_ok=True)
        await rattler.package_streaming.download_to_path(rattler.Client(), record.url, path)
        kind = hashlib.sha256 if record.sha256 else hashlib.md5
        if kind(path.read_bytes()).digest() != (record.sha256 or record.md5):
            _fail("hash", f"hash mismatch: {record.url} is not what its channel's index says")
        fetched += path.stat().st_size
        _say("fetched", bytes=fetched)
        facts = {"name": str(record.name.normalized), "version": str(record.version), "licence": record.license or ""}
        _say("package", path=f"{record.subdir}/{record.file_name}", **facts)
    (folder / "noarch").mkdir(parents=True, exist_ok=True)
    await rattler.index.index_fs(folder, write_zst=False, write_shards=False)


def _check(record: Any) -> None:
    """Checks what py-rattler does not: files of this machine, and that there is a hash at all."""
    expected = record.sha256 or record.md5
    if expected is None:
        _fail("hash", f"{record.file_name} has no checksum in its channel's index")
    parts = urlsplit(record.url)
    if parts.scheme == "file":
        path = Path(unquote(parts.path))
        if not path.is_file():
            _fail("other", f"there is no {path}")
        # All that an old channel has is MD5.
        known = hashlib.sha256 if record.sha256 else hashlib.md5
        actual = known(path.read_bytes()).digest()
        if actual != expected:
            _fail("hash", f"hash mismatch: {record.url} is {actual.hex()}, its index says {expected.hex()}")


class _Reporter(rattler.InstallerReporter):
    """Reports the fetched bytes, ten times a second at most."""

    def __init__(self) -> None:
        self._sizes: dict[int, int] = {}
        self._said = 0.0

    def on_download_start(self, cache_entry: int) -> int:  # noqa: ARG002
        self._sizes[len(self._sizes)] = 0
        return len(self._sizes) - 1

    def on_download_progress(self, download_idx: int, progress: int, total: int | None) -> None:  # noqa: ARG002
        self._sizes[download_idx] = progress
        if time.monotonic() - self._said > 0.1:
            self._said = time.monotonic()
            _say("fetched", bytes=sum(self._sizes.values()))


def _kind(error: Exception) -> str:
    text = f"{type(error).__name__}: {error}"
    if isinstance(error, SolverError):
        return "unsolvable"
    if re.search(r"hash mismatch|mismatch(ed)? (sha256|md5|hash)|checksum", text, re.IGNORECASE):
        return "hash"
    if re.search(r"No space left|os error 28|quota exceeded", text):
        return "disk"
    if "could not find subdir" in text:
        return "channel"
    if "UnknownIssuer" in text:
        return "certificate"
    unreachable = isinstance(error, GatewayError | FetchRepoDataError)
    return "network" if unreachable or re.search(r"error sending request|connect|timed out", text) else "other"


def _say(event: str, **facts: Any) -> None:
    print(json.dumps({"event": event, **facts}), flush=True)


def _fail(kind: str, text: str) -> NoReturn:
    _say("failed", kind=kind, text=text)
    os._exit(0)


def _end_with(parent: int) -> None:
    """Ends this process when its parent was killed: it has another parent then."""
    while os.getppid() == parent:
        time.sleep(0.2)
    os._exit(1)


if __name__ == "__main__":
    main()
