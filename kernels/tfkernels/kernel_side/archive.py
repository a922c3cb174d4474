"""This package as one piece of bytes, and imported from it: for kernels whose environment does not have it.

The source of this module is sent along and is what runs there first, so it imports nothing of the package. Nothing is
written to the disk of that environment: modules are compiled from memory.
"""

import importlib.abc
import importlib.machinery
import importlib.util
import io
import os
import sys
import typing
import zipfile

PACKAGE = "tfkernels"
ORIGIN = "<sent by another kernel>"


def pack() -> bytes:
    """The package that runs here as a zip; reproducible."""
    content = getattr(getattr(sys.modules[PACKAGE].__spec__, "loader", None), "content", None)
    if content is not None:  # it came as an archive itself
        return typing.cast(bytes, content)
    folder = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for place, folders, files in os.walk(folder):
            folders.sort()
            for file in sorted(files):
                if file.endswith(".py"):
                    path = os.path.join(place, file)
                    name = os.path.relpath(path, os.path.dirname(folder)).replace(os.sep, "/")
                    with open(path, "rb") as source:
                        archive.writestr(zipfile.ZipInfo(name), source.read(), zipfile.ZIP_DEFLATED)
    return target.getvalue()


def source() -> str:
    """The text of this module."""
    name = PACKAGE + ".kernel_side.archive"
    found: str = sys.modules[name].__spec__.loader.get_source(name)  # type: ignore[union-attr]
    return found


def install(content: bytes) -> None:
    """Makes the package importable in this process; it comes before one that is installed."""
    sys.meta_path.insert(0, Archive(content))


class Archive(importlib.abc.MetaPathFinder, importlib.abc.InspectLoader):
    """Finds and loads the modules of one zip."""

    def __init__(self, content: bytes) -> None:
        self.content = content
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            self._sources = {name: archive.read(name) for name in archive.namelist()}

    def find_spec(self, fullname: str, *_: typing.Any) -> typing.Optional[importlib.machinery.ModuleSpec]:
        if self._file(fullname) is None:
            return None
        return importlib.util.spec_from_loader(fullname, self, origin=ORIGIN, is_package=self.is_package(fullname))

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
