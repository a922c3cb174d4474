"""Running kernels, by the connection files that Jupyter wrote when it started them."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any, NamedTuple

import zmq
from jupyter_core.paths import jupyter_runtime_dir

from tfkernels.errors import UnknownKernel

HEARTBEAT_TIMEOUT = 1.0  # seconds to answer; a thread of the kernel does it, also while a cell runs

_NEEDED = {"key", "signature_scheme", "transport", "ip"} | {
    f"{channel}_port" for channel in ("shell", "iopub", "stdin", "control", "hb")
}


class Running(NamedTuple):
    """A kernel that another program started."""

    id: str  # what Jupyter calls it
    file: Path
    connection: dict[str, Any]
    written: float  # time of the file
    kernel: str  # the name of its kernelspec, if it is known
    notebook: str  # its path, or Jupyter's name for the session


def connect(socket: zmq.Socket[bytes], connection: dict[str, Any], port: str) -> None:
    """Encrypts as the kernel does, if it does (ipykernel 7.3 and newer, when Jupyter wants it)."""
    if connection.get("curve_publickey"):
        public, secret = zmq.curve_keypair()
        socket.curve_publickey, socket.curve_secretkey = public, secret
        socket.curve_serverkey = connection["curve_publickey"].encode()
    separator = "-" if connection["transport"] == "ipc" else ":"
    socket.connect(f"{connection['transport']}://{connection['ip']}{separator}{connection[port]}")


def alive(found: list[Running], timeout: float = HEARTBEAT_TIMEOUT) -> list[Running]:
    """The kernels that answer within ``timeout`` seconds. All are asked at once."""
    context = zmq.Context()
    poller = zmq.Poller()
    asked: dict[Any, Running] = {}
    answered = []
    try:
        for kernel in found:
            socket = context.socket(zmq.REQ)
            connect(socket, kernel.connection, "hb_port")
            socket.send(b"ping")
            poller.register(socket, zmq.POLLIN)
            asked[socket] = kernel
        deadline = time.monotonic() + timeout
        while asked and time.monotonic() < deadline:
            for socket, _ in poller.poll(max(0, int((deadline - time.monotonic()) * 1000))):
                poller.unregister(socket)
                answered.append(asked.pop(socket))
    finally:
        context.destroy(linger=0)
    return [kernel for kernel in found if kernel in answered]


def candidates(timeout: float = HEARTBEAT_TIMEOUT) -> list[Running]:
    """The running kernels of this user that could be attached, the youngest first."""
    return alive([kernel for kernel in _read_all() if kernel.file != own()], timeout)


def find(name: str) -> Running:
    """The kernel of a connection file, a kernel id, or the beginning of one. Raises ``UnknownKernel``."""
    file = Path(name).expanduser()
    if file.is_file():
        kernel = _read(file.absolute())
        if kernel is None:
            raise UnknownKernel(f"{file} is not a kernel's connection file.")
        found = [kernel]
    else:
        found = [kernel for kernel in _read_all() if kernel.id.startswith(name) or kernel.file.name == name]
    running = alive(found)
    if len(running) == 1:
        return running[0]
    if running:
        raise UnknownKernel(f"{name!r} begins the id of {len(running)} kernels. Write more of it:\n{listed(running)}")
    cause = "does not answer any more" if found else "is neither a connection file nor the id of a kernel"
    others = listed(candidates()) or "  none"
    raise UnknownKernel(f"Cannot attach: {name!r} {cause}. Kernels that can be attached:\n{others}")


def listed(kernels: list[Running]) -> str:
    return "\n".join(f"  {kernel.id}  {kernel.kernel}  {kernel.notebook}".rstrip() for kernel in kernels)


def own() -> Path | None:
    """The connection file of the kernel that this process is."""
    app = getattr(sys.modules.get("ipykernel.kernelapp"), "IPKernelApp", None)
    file = app.instance().abs_connection_file if app is not None and app.initialized() else None
    return Path(file) if file else None


def _read_all() -> list[Running]:
    """Kernels by all connection files, the youngest first."""
    found = [kernel for kernel in map(_read, Path(jupyter_runtime_dir()).glob("*.json")) if kernel is not None]
    return sorted(found, key=lambda kernel: (-kernel.written, kernel.id))


def _read(file: Path) -> Running | None:
    try:
        written = file.stat().st_mtime
        content = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    if not isinstance(content, dict) or not set(content) >= _NEEDED:
        return None  # another file, such as the server's
    kernel, notebook = str(content.get("kernel_name") or "kernel"), str(content.get("jupyter_session") or "")
    return Running(file.stem.replace("kernel-", "", 1), file, content, written, kernel, notebook)
