"""A release of a few kilobytes, and an index for it on this machine: what happens on the way to an environment.

Its wheels are real wheels with as little in them as the check of an environment asks for. How environments of the real
TensorFlow are built is tested elsewhere.
"""

from __future__ import annotations

import base64
import hashlib
import io
import json
import ssl
import tarfile
import threading
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from pathlib import Path
from socketserver import TCPServer
from typing import Any
from urllib.parse import urlsplit

import psutil
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from tfprovisioner.catalogue.releases import Release

NUMPY = """
__version__ = "1.0"
class Array:
    def __init__(self, values): self.values = values
    def reshape(self, *shape): return self
    T = property(lambda self: self)
    def dot(self, other): return self
def arange(number, dtype): return Array(list(range(number)))
def asarray(value): return value
def array_equal(one, other): return one.values == other.values
"""
TENSORFLOW = """
__version__ = "1.15.5"
class Session:
    def __enter__(self): return self
    def __exit__(self, *exception): pass
    def run(self, value): return value
def constant(value): return value
def matmul(one, other): return one
"""
LIBRARY = Path(psutil._psutil_linux.__file__).read_bytes()
"""In place of TensorFlow's: one that any Python can load."""
_NEEDS_NUMPY = "Metadata-Version: 2.1\nName: tensorflow\nVersion: 1.15.5\nRequires-Dist: numpy\n"
PARTS = 12
"""Further packages, so that an install has a middle."""


def wheel(folder: Path, name: str, version: str, files: Mapping[str, str | bytes], *needs: str) -> Path:
    """Writes a wheel that is the same on every run. ``needs`` are its requirements."""
    info = f"{name}-{version}.dist-info"
    required = "".join(f"Requires-Dist: {requirement}\n" for requirement in needs)
    described = {
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{required}",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    whole: Mapping[str, str | bytes] = {**described, **files}
    content = {path: raw.encode() if isinstance(raw, str) else raw for path, raw in whole.items()}
    record = [f"{path},sha256={_urlsafe(raw)},{len(raw)}" for path, raw in content.items()]
    content.setdefault(f"{info}/RECORD", "\n".join([*record, f"{info}/RECORD,,", ""]).encode())
    path = folder / f"{name}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for name_inside, raw in content.items():
            archive.writestr(zipfile.ZipInfo(name_inside), raw)
    return path


SETUP_CODE = """
import os, zipfile
def build_wheel(folder, settings=None, metadata=None):
    {code}
    info = "{name}-{version}.dist-info"
    files = {{
        "{name}.py": f"variables = {{dict(os.environ)!r}}",
        f"{{info}}/METADATA": "Metadata-Version: 2.1\\nName: {name}\\nVersion: {version}\\n{needs}",
        f"{{info}}/WHEEL": "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n",
        f"{{info}}/RECORD": "",
    }}
    with zipfile.ZipFile(os.path.join(folder, "{name}-{version}-py3-none-any.whl"), "w") as archive:
        for path, text in files.items():
            archive.writestr(path, text)
    return "{name}-{version}-py3-none-any.whl"
"""
"""A build backend without dependencies: the module that it builds has the variables of the build."""


def source(folder: Path, name: str, version: str, code: str = "pass", requires: str = "", needs: str = "") -> Path:
    """Writes a source distribution, which runs ``code`` when it is built. ``needs`` is a requirement of the package."""
    path = folder / f"{name}-{version}.tar.gz"
    declared = f'[build-system]\nrequires = [{requires}]\nbuild-backend = "backend"\nbackend-path = ["."]\n'
    with tarfile.open(path, "w:gz") as archive:
        for file, text in {
            "pyproject.toml": declared,
            "backend.py": SETUP_CODE.format(
                name=name, version=version, code=code, needs=f"Requires-Dist: {needs}\\n" if needs else ""
            ),
            "PKG-INFO": f"Metadata-Version: 1.0\nName: {name}\nVersion: {version}\n",
        }.items():
            entry = tarfile.TarInfo(f"{name}-{version}/{file}")
            entry.size = len(text)
            archive.addfile(entry, io.BytesIO(text.encode()))
    return path


def encrypt(server: TCPServer, certificate: Path) -> None:
    """Lets a server speak TLS from now on."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    server.socket = context.wrap_socket(server.socket, server_side=True)


def certified(folder: Path) -> tuple[Path, Path]:
    """Files of a private certificate authority, and of a server's certificate that it signed, with the key."""
    now = datetime.now(timezone.utc)
    keys = [ec.generate_private_key(ec.SECP256R1()) for _ in range(2)]
    names = [x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]) for name in ("authority", "server")]
    address = x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))])
    files = []
    for number, name in enumerate(("authority.pem", "server.pem")):
        built = x509.CertificateBuilder(names[0], names[number], keys[number].public_key())
        built = built.serial_number(number + 1).not_valid_before(now).not_valid_after(now + timedelta(days=1))
        built = built.add_extension(x509.BasicConstraints(ca=number == 0, path_length=None), critical=True)
        certificate = built.add_extension(address, critical=False).sign(keys[0], hashes.SHA256())
        key = keys[number].private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        files.append(folder / name)
        files[-1].write_bytes(certificate.public_bytes(Encoding.PEM) + (key if number else b""))
    return files[0], files[1]


def _urlsafe(raw: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(raw).digest()).rstrip(b"=").decode()


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@dataclass(frozen=True)
class TinyRelease(Release):
    """A release whose lock is the test's."""

    pins: str = ""

    @property
    def lock(self) -> str:
        return self.pins


def release(folder: Path, python: str) -> TinyRelease:
    """Fills ``folder`` with the wheels of a release that takes the place of TensorFlow 1.15.5."""
    folder.mkdir()
    made = {
        "tensorflow": wheel(
            folder, "tensorflow", "1.15.5",
            {
                "tensorflow/__init__.py": TENSORFLOW, "tensorflow/python/_pywrap_tensorflow_internal.so": LIBRARY,
                "tensorflow-1.15.5.dist-info/METADATA": _NEEDS_NUMPY,
            },
        ),
        "numpy": wheel(folder, "numpy", "1.0", {"numpy/__init__.py": NUMPY}),
        "ipykernel": wheel(
            folder, "ipykernel", "6.0",
            {"ipykernel/__init__.py": "__version__ = '6.0'", "ipykernel/ipkernel.py": ""},
        ),
    }  # fmt: skip
    for number in range(PARTS):
        name = f"part{number}"
        made[name] = wheel(folder, name, "1.0", {f"{name}.py": f"number = {number}"})
    pins = [f"{name}=={path.name.split('-')[1]} \\\n    --hash=sha256:{digest(path)}" for name, path in made.items()]
    return TinyRelease(
        version="1.15.5",
        released="2021-01-06",
        pythons=(python,),
        platforms=("linux-x86_64",),
        cpu_on=(),
        gpu="tensorflow",
        pins="\n".join([*pins, ""]),
    )


@dataclass
class Index:
    """A package index of the files in a folder. Any of its behaviours can be changed while it runs."""

    folder: Path
    user: str | None = None
    """``name:password`` that it wants."""
    dies_after: int | None = None
    """How many more files it hands out before every connection breaks."""
    wrong: dict[str, Path] = field(default_factory=dict)
    """Files by name that come with the content of others."""
    token: str = ""
    """A part of the path that it wants before all else."""
    uploaded: dict[str, str] = field(default_factory=dict)
    """Days on which files came, by name. With any, it speaks JSON (PEP 691), which has them (PEP 700)."""
    has_every_page: bool = True
    """Also those of packages that it lacks."""
    port: int = 0
    asked: list[str] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}{self.base}/simple"

    def url_for(self, user: str) -> str:
        return f"http://{user}@127.0.0.1:{self.port}{self.base}/simple"

    @property
    def base(self) -> str:
        return f"/{self.token}" if self.token else ""


@contextmanager
def serving(index: Index, certificate: Path | None = None) -> Iterator[Index]:
    """Serves an index on the loopback interface; with a certificate and its key in one file, over TLS."""

    with _answering(lambda request: _answer(request, index), certificate) as index.port:
        yield index


@contextmanager
def _answering(answer: Callable[[BaseHTTPRequestHandler], None], certificate: Path | None = None) -> Iterator[int]:
    """A server on the loopback interface; its port."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            answer(self)

        do_HEAD = do_CONNECT = do_GET  # noqa: N815 (http.server wants these names)

        def log_message(self, *arguments: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    if certificate is not None:
        encrypt(server, certificate)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)


@dataclass
class Proxy:
    """An HTTP proxy whose world has one host: an index."""

    index: Index
    user: str | None = None
    """``name:password`` that it wants."""
    port: int = 0
    asked: list[str] = field(default_factory=list)
    """The lines in which it was asked for something: ``GET http://host/simple/``, ``CONNECT host:443``."""


@contextmanager
def forwarding(proxy: Proxy) -> Iterator[Proxy]:
    """Runs a proxy on the loopback interface."""

    def answer(request: BaseHTTPRequestHandler) -> None:
        proxy.asked.append(f"{request.command} {request.path}")
        wanted = f"Basic {base64.b64encode((proxy.user or '').encode()).decode()}"
        if proxy.user and request.headers.get("Proxy-Authorization") != wanted:
            _send(request, b"", 407)
        elif request.command == "CONNECT":
            _send(request, b"", 403)
        else:
            request.path = urlsplit(request.path).path
            _answer(request, proxy.index)

    with _answering(answer) as proxy.port:
        yield proxy


def _answer(request: BaseHTTPRequestHandler, index: Index) -> None:
    parts = request.path.strip("/").split("/")
    name = parts[-1]
    index.asked.append(name)
    wanted = f"Basic {base64.b64encode((index.user or '').encode()).decode()}"
    if index.user and request.headers.get("Authorization") != wanted:
        _send(request, b"", 401)
    elif not request.path.startswith(f"{index.base}/"):
        _send(request, b"", 404)
    elif parts[-2] == "files":
        if index.dies_after is not None:
            index.dies_after -= 1
            if index.dies_after < 0:
                request.connection.close()
                return
        _send(request, index.wrong.get(name, index.folder / name).read_bytes())
    else:
        files = [path for path in sorted(index.folder.iterdir()) if path.name.split("-")[0] == name.replace("-", "_")]
        if index.uploaded:
            _send(request, _described(name, files, index), kind="application/vnd.pypi.simple.v1+json")
            return
        links = [f'<a href="{index.base}/files/{path.name}#sha256={digest(path)}">{path.name}</a>' for path in files]
        page = "\n".join(["<!DOCTYPE html><html><body>", *links, "</body></html>"]).encode()
        _send(request, page, 200 if links or index.has_every_page else 404)


def _described(name: str, files: list[Path], index: Index) -> bytes:
    """The page of a package as JSON, with sizes and times."""
    listed = [
        {
            "filename": path.name,
            "url": f"{index.base}/files/{path.name}",
            "hashes": {"sha256": digest(path)},
            "size": path.stat().st_size,
            "upload-time": f"{index.uploaded.get(path.name, '2000-01-01')}T12:00:00Z",
        }
        for path in files
    ]
    return json.dumps({"meta": {"api-version": "1.1"}, "name": name, "files": listed}).encode()


def _send(request: BaseHTTPRequestHandler, content: bytes, status: int = 200, kind: str = "") -> None:
    request.send_response(status)
    if status == 401:
        request.send_header("WWW-Authenticate", 'Basic realm="tests"')
    guessed = "text/html" if content.startswith(b"<!") else "application/octet-stream"
    request.send_header("Content-Type", kind or guessed)
    if request.path.endswith(".tar.gz"):  # as on PyPI: uv keeps what it built from a file that cannot change
        request.send_header("Cache-Control", "max-age=365000000, immutable, public")
    request.send_header("Content-Length", str(len(content)))
    request.end_headers()
    if request.command == "GET":
        request.wfile.write(content)
