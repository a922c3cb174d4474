"""Bundles of a few bytes, whole or damaged, and of a tiny release that can be installed."""

from __future__ import annotations

import hashlib
import io
import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import quote

import pytest

import tfkernels
from tests.support import package_index
from tests.support.package_index import Index
from tfprovisioner.bundles import contents, download, own_wheel, python_archives
from tfprovisioner.bundles.contents import BundledPython, File, Kernel, Manifest
from tfprovisioner.catalogue.releases import platform_name

Command = Callable[..., tuple[int, str, str]]

WHEEL = "wheels/small-1.0-py3-none-any.whl"
FILES: Mapping[str, bytes] = {WHEEL: b"a wheel", "README.txt": b"read me"}


def manifest(files: Mapping[str, bytes] = FILES, **changes: Any) -> Manifest:
    """The manifest of some files, for one kernel that needs the wheel."""
    kernel = Kernel("1.15", "1.15.5", "3.7", "0" * 64, "", (), (WHEEL,))
    listed = tuple(File(name, len(content), hashlib.sha256(content).hexdigest()) for name, content in files.items())
    whole = Manifest(platform_name(), "0.1.0", ("3.12",), (WHEEL,), ("tfkernels==0.1.0",), (kernel,), (), listed)
    return replace(whole, **changes)


def write(path: Path, described: Manifest | str | bytes, files: Mapping[str, bytes] = FILES, **options: Any) -> Path:
    """A bundle of a manifest and files that need not be its own; ``options`` are those of ``ZipFile``."""
    text = described.to_json() if isinstance(described, Manifest) else described
    with zipfile.ZipFile(path, "w", **options) as archive:
        archive.writestr(contents.MANIFEST, text)
        for name, content in files.items():
            archive.writestr(name, content)
    return path


OWN_WHEEL = f"tfkernels-{tfkernels.__version__}-py3-none-any.whl"

_SYSCONFIG = "# system configuration generated and used by the sysconfig module\nbuild_time_vars = {}\n"


@pytest.fixture
def small(index: Index, monkeypatch: pytest.MonkeyPatch) -> Index:
    """The index of a tiny release; tfkernels itself is one module, which needs nothing."""

    def make(folder: Path, say: object) -> Path:
        return package_index.wheel(folder, "tfkernels", tfkernels.__version__, {"tfkernels_is_here.py": ""})

    monkeypatch.setattr(own_wheel, "make", make)
    monkeypatch.setattr(download, "_PAUSE", 0)
    return index


@pytest.fixture
def make(small: Index, command: Command, place: Path) -> Callable[..., Path]:
    """``tfkernels bundle tf1 …`` of the tiny release; after that, nothing of it is here any more."""

    def make(*arguments: str) -> Path:
        options = ["--index", small.url, "--output", str(place / "tf.bundle"), "--tfkernels-on", "3.12"]
        code, _, told = command("bundle", "tf1", *options, *arguments)
        assert code == 0, told
        for folder in ("home", "cache"):
            shutil.rmtree(place / folder, ignore_errors=True)
        for name in ("UV_DEFAULT_INDEX", "UV_FIND_LINKS"):
            os.environ.pop(name, None)
        small.asked.clear()
        return place / "tf.bundle"

    return make


@pytest.fixture
def standalone(place: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An archive like those of python-build-standalone, a list for uv that has it, and a server that hands it out."""
    (served := place / "served").mkdir()
    archive = served / "cpython-3.12.9+20250101-x86_64-unknown-linux-gnu-install_only_stripped.tar.gz"
    real = Path(sys.executable).resolve()
    with tarfile.open(archive, "w:gz") as packed:
        for name, text in {
            "bin/python3.12": f'#!/bin/sh\nexec {real} "$@"\n',
            "lib/python3.12/_sysconfigdata_.py": _SYSCONFIG,
        }.items():
            member = tarfile.TarInfo(f"python/{name}")
            member.size, member.mode = len(text), 0o755
            packed.addfile(member, io.BytesIO(text.encode()))

    class Handler(SimpleHTTPRequestHandler):
        def __init__(self, *arguments: Any) -> None:
            super().__init__(*arguments, directory=str(served))

        def log_message(self, *arguments: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    python = BundledPython("3.12", "3.12.9", "uv", "", (archive.name,), "cpython-3.12.9-linux-x86_64-gnu")
    listed = File(archive.name, archive.stat().st_size, package_index.digest(archive))
    described = replace(manifest(), files=(listed,), pythons=(python,))
    python_archives.described(served, described)
    text = (served / "downloads.json").read_text()
    address = f"http://127.0.0.1:{server.server_address[1]}/{quote(archive.name)}"
    (served / "list.json").write_text(text.replace(archive.as_uri(), address))
    monkeypatch.setenv("UV_PYTHON_DOWNLOADS_JSON_URL", str(served / "list.json"))
    monkeypatch.setenv("UV_PYTHON_INSTALL_DIR", str(place / "uv"))
    try:
        yield archive
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def without_network(*command: object, cwd: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """Runs a program that has no network, no settings and an empty home."""
    if subprocess.run(["unshare", "-rn", "ip", "link"], capture_output=True, check=False).returncode:
        pytest.skip("this system lets nobody make a network without connections")
    (cwd / "nobody").mkdir(exist_ok=True)
    alone = {"HOME": str(cwd / "nobody"), "PATH": "/usr/bin:/bin", "PYENV_ROOT": os.environ.get("PYENV_ROOT", "")}
    # Jupyter talks to its kernels over the loopback interface.
    words = ["unshare", "-rn", "sh", "-c", 'ip link set lo up; exec "$0" "$@"', *map(str, command)]
    return subprocess.run(words, cwd=cwd, env={**alone, **variables}, capture_output=True, text=True, check=False)
