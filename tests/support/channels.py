"""Conda channels made for tests: small real packages in a folder, and a server on loopback that hands them out."""

from __future__ import annotations

import bz2
import hashlib
import io
import json
import os
import subprocess
import sys
import tarfile
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from uv import find_uv_bin

from tests.support.waiting import DEADLINE
from tfprovisioner.catalogue import locks
from tfprovisioner.pythons import find
from tfprovisioner.requirements.request import InstallRequest

PLACEHOLDER = "/a_long_path_that_is_replaced_when_the_package_is_installed" * 4

_SUBDIRS = {"linux-x86_64": "linux-64", "linux-aarch64": "linux-aarch64", "darwin-arm64": "osx-arm64"}


def subdir() -> str:
    import platform

    return _SUBDIRS.get(f"{sys.platform}-{platform.machine().lower()}", "osx-64")


@dataclass
class Package:
    """What goes into a package: files by their path in the prefix; a ``Path`` is the target of a symbolic link."""

    name: str
    version: str
    depends: tuple[str, ...] = ()
    files: dict[str, bytes | Path] = field(default_factory=dict)
    build: str = "0"

    def write(self, channel: Path) -> Path:
        """Packs it into a channel's folder and enters it in the index."""
        folder = channel / subdir()
        folder.mkdir(parents=True, exist_ok=True)
        archive = folder / f"{self.name}-{self.version}-{self.build}.tar.bz2"
        index: dict[str, Any] = {
            "name": self.name, "version": self.version, "build": self.build, "build_number": 0,
            "depends": list(self.depends), "subdir": subdir(),
        }  # fmt: skip
        paths = {"paths_version": 1, "paths": [self._entry(path, content) for path, content in self.files.items()]}
        with tarfile.open(archive, "w:bz2", compresslevel=1) as pack:
            for path, document in (("info/index.json", index), ("info/paths.json", paths)):
                _add(pack, path, json.dumps(document).encode(), False)
            for path, content in self.files.items():
                _add(pack, path, content, path.startswith("bin/"))
        packed = archive.read_bytes()
        entry = {**index, "size": len(packed), "sha256": hashlib.sha256(packed).hexdigest()}
        enter(channel, archive.name, {**entry, "md5": hashlib.md5(packed).hexdigest()})  # noqa: S324
        return archive

    @staticmethod
    def _entry(path: str, content: bytes | Path) -> dict[str, Any]:
        if isinstance(content, Path):
            return {"_path": path, "path_type": "softlink"}
        entry: dict[str, Any] = {
            "_path": path, "path_type": "hardlink",
            "sha256": hashlib.sha256(content).hexdigest(), "size_in_bytes": len(content),
        }  # fmt: skip
        if PLACEHOLDER.encode() in content:
            entry.update(prefix_placeholder=PLACEHOLDER, file_mode="text")
        return entry


def _add(pack: tarfile.TarFile, path: str, content: bytes | Path, executable: bool) -> None:
    member = tarfile.TarInfo(path)
    if isinstance(content, Path):
        member.type, member.linkname = tarfile.SYMTYPE, str(content)
        pack.addfile(member)
    else:
        member.size, member.mode = len(content), 0o755 if executable else 0o644
        pack.addfile(member, io.BytesIO(content))


def enter(channel: Path, file: str, entry: dict[str, Any]) -> None:
    """Writes a package's entry into the channel's index."""
    for name in (subdir(), "noarch"):
        (channel / name).mkdir(parents=True, exist_ok=True)
    index = channel / subdir() / "repodata.json"
    content: dict[str, Any] = (
        json.loads(index.read_text()) if index.exists() else {"info": {"subdir": subdir()}, "packages": {}}
    )
    content["packages"][file] = entry
    index.write_text(json.dumps(content))
    noarch = {"info": {"subdir": "noarch"}, "packages": {}}
    (channel / "noarch" / "repodata.json").write_text(json.dumps(noarch))


def python(minor: str) -> Package:
    """A real interpreter in a prefix of its own. Its standard library is links to the one of this machine."""
    found = _found(minor)
    root = Path(found.path).resolve().parent.parent
    library = root / "lib" / f"python{minor}"
    files: dict[str, bytes | Path] = {
        f"lib/python{minor}/{path.name}": path
        for path in sorted(library.iterdir())
        if path.name not in ("site-packages", "__pycache__")
    }
    files[f"lib/python{minor}/site-packages/README.txt"] = b"packages\n"
    files[f"bin/python{minor}"] = Path(found.path).resolve().read_bytes()
    files["bin/python3"] = files["bin/python"] = Path(f"python{minor}")
    return Package("python", found.version, (), files)


def whole_python(minor: str) -> Package:
    """A real interpreter that needs nothing outside its prefix, as conda-forge's."""
    found = Path(_found(minor).path).resolve()
    root = found.parent.parent
    library = root / "lib" / f"python{minor}"
    left_out = ("site-packages", "__pycache__", "test", "tests", "idlelib", "ensurepip", "turtledemo")
    files: dict[str, bytes | Path] = {}
    for parent, folders, names in os.walk(library):
        folders[:] = [name for name in folders if name not in left_out and not name.startswith("config-")]
        for name in names:
            path = Path(parent, name)
            files[str(path.relative_to(root))] = path.read_bytes()
    for shared in root.glob("lib/libpython*.so*"):
        files[f"lib/{shared.name}"] = Path(os.readlink(shared)) if shared.is_symlink() else shared.read_bytes()
    # Where it looks for its library, told relative to itself; what is left of the old text is never read.
    text = found.read_bytes()
    old = f"{root}/lib".encode()
    files[f"bin/python{minor}"] = text.replace(old + b"\0", b"$ORIGIN/../lib".ljust(len(old), b"\0") + b"\0")
    files["bin/python3"] = files["bin/python"] = Path(f"python{minor}")
    return Package("python", _found(minor).version, (), files)


def repacked(name: str, version: str, minor: str, folder: Path) -> Package:
    """A package with the files of wheels that were unpacked into a folder."""
    files: dict[str, bytes | Path] = {
        f"lib/python{minor}/site-packages/{path.relative_to(folder)}": path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.relative_to(folder).parts[0] not in ("bin", "share", ".lock")
    }
    return Package(name, version, (f"python {minor}.*",), files, build=f"py{minor.replace('.', '')}_0")


def _found(minor: str) -> find.Python:
    return next(python for python in find.pythons() if python.minor == minor and not python.virtual)


def linked(name: str, version: str, minor: str, folder: Path, depends: tuple[str, ...]) -> Package:
    """A package whose modules are links to those in ``folder``."""
    files: dict[str, bytes | Path] = {
        f"lib/python{minor}/site-packages/{path.name}": path
        for path in sorted(folder.iterdir())
        if path.name not in ("bin", "share", "__pycache__", ".lock")
    }
    return Package(name, version, depends, files, build=f"py{minor.replace('.', '')}_0")


def tensorflow(version: str, minor: str, extra: dict[str, bytes | Path] | None = None) -> Package:
    """Just enough of a TensorFlow to pass the check of a new environment."""
    files: dict[str, bytes | Path] = {
        f"lib/python{minor}/site-packages/tensorflow/__init__.py": stand_in(version).encode()
    }
    depends = (f"python {minor}.*", "numpy")
    return Package("tensorflow", version, depends, {**files, **(extra or {})}, build=f"py{minor.replace('.', '')}_0")


def stand_in(version: str) -> str:
    """The source of a module that looks like TensorFlow 1 to whoever multiplies two matrices."""
    return f"""
import numpy as np
__version__ = {version!r}
constant, matmul = np.asarray, np.dot
class Session:
    def __enter__(self): return self
    def __exit__(self, *args): pass
    def run(self, x): return x
"""


def part_of(lock: str, *names: str, minor: str) -> str:
    """What some packages need, as pinned and hashed in a lock."""
    wanted = "\n".join([*names, ""])
    arguments = ["pip", "compile", "--quiet", "--generate-hashes", "--no-header", "--no-annotate"]
    with tempfile.TemporaryDirectory() as folder:
        constraints = Path(folder, "pins.txt")
        constraints.write_text("\n".join(locks.split(lock)[0]))
        command = [find_uv_bin(), *arguments, "--python", _found(minor).path, "--constraints", str(constraints), "-"]
        return subprocess.run(command, input=wanted, capture_output=True, text=True, check=True).stdout


def unpacked(lock: str, minor: str, folder: Path) -> Path:
    """Real wheels of a lock, in a folder."""
    requirements = folder.with_suffix(".txt")
    requirements.write_text(lock)
    command = [find_uv_bin(), "pip", "install", "--quiet", "--target", str(folder), "--python", _found(minor).path]
    subprocess.run([*command, "--requirements", str(requirements)], check=True)
    return folder


class _Handler(SimpleHTTPRequestHandler):
    def do_GET(self) -> None:
        server = self.server
        assert isinstance(server, Server)
        server.requests.append(self.path)
        if server.held and self.path.endswith(".tar.bz2"):
            server.reached.set()
            server.released.wait(DEADLINE)
        try:
            super().do_GET()
        except OSError:  # whoever asked was killed
            self.close_connection = True

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name of the base class
        """Nothing: the test's output is for its failures."""


class Server(ThreadingHTTPServer):
    """Hands out a folder; may hold packages back to let a test act in the middle of a download."""

    daemon_threads = True

    def __init__(self, folder: Path) -> None:
        super().__init__(("127.0.0.1", 0), lambda *args: _Handler(*args, directory=str(folder)))
        self.requests: list[str] = []
        self.held = False
        self.reached, self.released = threading.Event(), threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


@contextmanager
def served(folder: Path) -> Iterator[Server]:
    server = Server(folder)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield server
    finally:
        server.released.set()
        server.shutdown()
        thread.join()
        server.server_close()


def recompressed(archive: Path) -> None:
    """Changes a package's bytes without changing what is in it."""
    archive.write_bytes(bz2.compress(bz2.decompress(archive.read_bytes()), 9))


def order(channel: object, **choices: object) -> InstallRequest:
    """An order for TensorFlow 1 of a channel's packages."""
    return replace(InstallRequest("tf1", user=True, backend="conda", channels=(str(channel),)), **choices)  # type: ignore[arg-type]
