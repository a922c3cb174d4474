"""Injection of this package into a kernel that our launcher did not start, from memory.

``client.handshake`` sends the source of this module first, so it imports nothing of the package. Then it sends the
package as a zip and calls ``prepare``. Nothing is written to a disk there.
"""

import importlib.abc
import importlib.machinery
import importlib.util
import io
import json
import os
import platform
import sys
import typing
import zipfile

PACKAGE = "tfkernels"
ORIGIN = "<sent by another kernel>"

_ROOT_MODULES = ("__init__.py", "env_vars.py", "errors.py", "protocol.py", "recording.py")
_FOLDERS = ("kernel_side", "transfer", "comparison", "models")
_NOT_SENT = tuple(f"{PACKAGE}.{name}" for name in ("notebook", "client", "output", "log"))
SENT = (*_ROOT_MODULES, *_FOLDERS)
"""The files and folders of the package that a kernel needs to be called, and that its cells can use."""


def pack() -> bytes:
    """What ``SENT`` names, as a zip; reproducible."""
    content = getattr(getattr(sys.modules[PACKAGE].__spec__, "loader", None), "content", None)
    if content is not None:  # it came as an archive itself
        return typing.cast(bytes, content)
    folder = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(_files(folder)):
            name = os.path.relpath(path, os.path.dirname(folder)).replace(os.sep, "/")
            with open(path, "rb") as source:
                archive.writestr(zipfile.ZipInfo(name), source.read(), zipfile.ZIP_DEFLATED)
    return target.getvalue()


def _files(folder: str) -> typing.Iterator[str]:
    for name in SENT:
        path = os.path.join(folder, name)
        if os.path.isfile(path):
            yield path
        for place, _, files in os.walk(path):  # nothing, of a file
            yield from (os.path.join(place, file) for file in files if file.endswith(".py"))


def source() -> str:
    """The text of this module."""
    name = PACKAGE + ".kernel_side.inject"
    found: str = sys.modules[name].__spec__.loader.get_source(name)  # type: ignore[union-attr]
    return found


def install(content: bytes) -> None:
    """Makes the package importable in this process; it comes before one that is installed."""
    sys.meta_path.insert(0, Archive(content))


class Archive(importlib.abc.MetaPathFinder, importlib.abc.InspectLoader):
    """Finds and loads the modules of one zip.

    Modules that were not sent come from an installed package of the same release, if there is one.
    """

    def __init__(self, content: bytes) -> None:
        self.content = content
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            self._sources = {name: archive.read(name) for name in archive.namelist()}

    def find_spec(self, fullname: str, *_: typing.Any) -> typing.Optional[importlib.machinery.ModuleSpec]:
        if self._file(fullname) is None:
            if fullname in _NOT_SENT and not self._installed():
                release = self.get_source(PACKAGE).partition('__version__ = "')[2].partition('"')[0]
                raise ImportError(
                    f"Cannot import {fullname} in this kernel: another kernel sent tfkernels without it. Install it "
                    f"here, then restart this kernel: !pip install tfkernels=={release}",
                    name=fullname,
                )
            return None
        spec = importlib.util.spec_from_loader(fullname, self, origin=ORIGIN, is_package=self.is_package(fullname))
        if fullname == PACKAGE and spec is not None:
            spec.submodule_search_locations = self._installed()
        return spec

    def _installed(self) -> typing.List[str]:
        """The folder of an installed package that is of the same release."""
        found = importlib.machinery.PathFinder.find_spec(PACKAGE)
        if found is None or found.origin is None or not os.path.isfile(found.origin):
            return []
        with open(found.origin, encoding="utf-8") as file:
            same = file.read() == self.get_source(PACKAGE)
        return list(found.submodule_search_locations or ()) if same else []

    def get_source(self, fullname: str) -> str:
        file = self._file(fullname)
        if file is None:
            raise ImportError(fullname, name=fullname)
        return self._sources[file].decode("utf-8")

    def get_code(self, fullname: str) -> typing.Any:
        return compile(self.get_source(fullname), f"{ORIGIN}/{self._file(fullname)}", "exec", dont_inherit=True)

    def is_package(self, fullname: str) -> bool:
        return (self._file(fullname) or "").endswith("/__init__.py")

    def _file(self, fullname: str) -> typing.Optional[str]:
        path = fullname.replace(".", "/")
        return next((file for file in (path + ".py", path + "/__init__.py") if file in self._sources), None)


def prepare(order: str) -> str:
    """Installs the hooks in this process's kernel; if the kernel that asks started it, it ends with that one.

    ``order`` is JSON: ``segment`` (an address in the memory of the kernel that asks), and ``owned`` (``folder`` and
    process ``group``, if that one started this kernel). So is the answer: ``pid``, ``python``, and ``unreachable`` (why
    the segment cannot be opened, or empty); or only ``problem``.
    """
    requested = json.loads(order)
    problem = _install_hooks()
    if problem:
        return json.dumps({"problem": problem})
    if requested.get("owned") is not None:
        from tfkernels.kernel_side import parent_watch, stdout

        parent_watch.watch_folder(requested["owned"]["folder"], requested["owned"]["group"])
        parent_watch.log_errors(requested["owned"]["folder"])
        stdout.stop_echo()
    why = _unreachable(requested["segment"])
    return json.dumps({"pid": os.getpid(), "python": platform.python_version(), "unreachable": why})


def _install_hooks() -> str:
    """Returns why that is impossible, or nothing."""
    import ipykernel
    from ipykernel.ipkernel import IPythonKernel
    from IPython import get_ipython

    kernel = getattr(get_ipython(), "kernel", None)
    if not isinstance(kernel, IPythonKernel):
        return "it is no ipykernel"
    if ipykernel.version_info[0] < 5:
        return f"its ipykernel is {ipykernel.__version__}, and 5 is the oldest that works"
    from tfkernels.kernel_side import execute

    execute.install_hooks(kernel, foreign=True)
    return ""


def _unreachable(address: typing.Dict[str, typing.Any]) -> str:
    try:
        descriptor = os.open(address["path"], os.O_RDWR)
    except OSError as error:
        return f"on {platform.node()}, process {os.getpid()}: {error.strerror}"
    found = os.fstat(descriptor)
    os.close(descriptor)
    if (found.st_dev, found.st_ino) != (address["device"], address["inode"]):
        return f"on {platform.node()}, process {os.getpid()}: another file has that name there"
    return ""
