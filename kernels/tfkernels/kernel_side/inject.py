"""Injection of this package into a kernel that our launcher did not start, from memory.

``client.handshake`` sends the source of this module first, so it imports nothing of the package. Then it sends the
package as a zip and calls ``prepare``. Nothing is written to a disk there.
"""

import importlib.abc
import importlib.machinery
import io
import json
import os
import pathlib
import platform
import sys
import typing
import zipfile

PACKAGE = "tfkernels"
ORIGIN = "<sent by another kernel>"

_SENT = (
    *("__init__.py", "debugger.py", "env_vars.py", "errors.py", "imports.py", "protocol.py", "recording.py"),
    *("sigint.py", "start_notes.py"),
    *("kernel_side/**/*.py", "transfer/**/*.py", "comparison/**/*.py", "diagnosis/**/*.py", "models/**/*.py"),
    *("conversion/**/*.py", "initialization/**/*.py", "model_comparison/**/*.py", "saved_models/**/*.py"),
    "training/**/*.py",
)
"""The files of the package that a kernel needs to be called, and that its cells can use."""

_NOT_SENT = tuple(f"{PACKAGE}.{name}" for name in ("notebook", "client", "output", "log"))


def pack() -> bytes:
    """The files of ``_SENT`` as a zip; reproducible."""
    spec: typing.Any = sys.modules[PACKAGE].__spec__
    if hasattr(spec.loader, "content"):  # it came as an archive itself
        return typing.cast(bytes, spec.loader.content)
    folder = pathlib.Path(os.path.abspath(__file__)).parents[1]
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(path for pattern in _SENT for path in folder.glob(pattern)):
            name = path.relative_to(folder.parent).as_posix()
            archive.writestr(zipfile.ZipInfo(name), path.read_bytes(), zipfile.ZIP_DEFLATED)
    return target.getvalue()


def source() -> str:
    """The text of this module."""
    spec: typing.Any = sys.modules[__name__].__spec__
    return str(spec.loader.get_source(__name__))


def install(content: bytes) -> None:
    """Makes the package importable in this process; it comes before one that is installed."""
    sys.meta_path.insert(0, Archive(content))


class Archive(importlib.abc.MetaPathFinder, importlib.abc.SourceLoader):  # type: ignore[misc] # as in its own stub
    """Finds and loads the modules of one zip.

    Modules that were not sent come from an installed package of the same release, if there is one.
    """

    def __init__(self, content: bytes) -> None:
        self.content = content
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            self._sources = {f"{ORIGIN}/{name}": archive.read(name) for name in archive.namelist()}

    def find_spec(self, fullname: str, *_: typing.Any) -> typing.Optional[importlib.machinery.ModuleSpec]:
        try:
            is_package = self.is_package(fullname)
        except ImportError:
            if fullname not in _NOT_SENT or self._installed():
                return None
            release = str(self.get_source(PACKAGE)).partition('__version__ = "')[2].partition('"')[0]
            raise ImportError(
                f"Cannot import {fullname} in this kernel: another kernel sent tfkernels without it. Install it here, "
                f"then restart this kernel: %pip install tfkernels=={release}",
                name=fullname,
            ) from None
        spec = importlib.machinery.ModuleSpec(fullname, self, origin=ORIGIN, is_package=is_package)
        if fullname == PACKAGE:
            spec.submodule_search_locations = self._installed()
        return spec

    def _installed(self) -> typing.List[str]:
        """The folder of an installed package that is of the same release."""
        found: typing.Any = importlib.machinery.PathFinder.find_spec(PACKAGE)
        if found is None or found.loader is None or found.loader.get_source(PACKAGE) != self.get_source(PACKAGE):
            return []
        return list(found.submodule_search_locations)

    def get_filename(self, fullname: str) -> str:
        path = f"{ORIGIN}/{fullname.replace('.', '/')}"
        for file in (f"{path}.py", f"{path}/__init__.py"):
            if file in self._sources:
                return file
        raise ImportError(fullname, name=fullname)

    def get_data(self, path: str) -> bytes:
        return self._sources[path]


def prepare(order: str) -> str:
    """Installs the hooks in this process's kernel; if the kernel that asks started it, it ends with that one.

    ``order`` is JSON: ``segment`` (an address in the memory of the kernel that asks), and ``owned`` (``folder`` and
    process ``group``, if that one started this kernel). So is the answer: ``pid``, ``python``, and ``unreachable`` (why
    the segment cannot be opened, or empty); or only ``problem``.
    """
    import ipykernel
    from ipykernel.ipkernel import IPythonKernel
    from IPython import get_ipython

    kernel = getattr(get_ipython(), "kernel", None)
    if not isinstance(kernel, IPythonKernel):
        return json.dumps({"problem": "it is no ipykernel"})
    if ipykernel.version_info[0] < 5:
        return json.dumps({"problem": f"its ipykernel is {ipykernel.__version__}, and 5 is the oldest that works"})
    from tfkernels.imports import own_imports

    with own_imports():
        from tfkernels.kernel_side import execute, parent_watch, stdout

    execute.install_hooks(kernel, foreign=True)
    requested = json.loads(order)
    if requested.get("owned") is not None:
        parent_watch.watch_folder(**requested["owned"])
        stdout.log_errors(requested["owned"]["folder"])
    why = _unreachable(requested["segment"])
    return json.dumps({"pid": os.getpid(), "python": platform.python_version(), "unreachable": why})


def _unreachable(address: typing.Dict[str, typing.Any]) -> str:
    from tfkernels.errors import ExchangeError
    from tfkernels.imports import own_imports

    with own_imports():
        from tfkernels.transfer.shared_memory.segment import open_segment

    try:
        os.close(open_segment(address))
    except ExchangeError as error:
        why = getattr(error.__cause__, "strerror", "another file has that name there")
        return f"on {platform.node()}, process {os.getpid()}: {why}"
    return ""
