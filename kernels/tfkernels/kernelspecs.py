"""The kernels that tfkernels registered, as this process can see them."""

import difflib
import json
import os
import typing
from pathlib import Path

from jupyter_core.paths import jupyter_path

from tfkernels.errors import UnknownKernel


class KernelSpec(typing.NamedTuple):
    """One registered kernel: ``spec`` is what its ``kernel.json`` says."""

    name: str
    folder: Path
    spec: typing.Dict[str, typing.Any]

    @property
    def install_command(self) -> str:
        """What makes this kernel again."""
        return str(self.spec["metadata"]["tfkernels"]["command"])

    def command(self, connection_file: str) -> typing.List[str]:
        values = {"{connection_file}": connection_file, "{resource_dir}": str(self.folder)}
        return [values.get(argument, argument) for argument in self.spec["argv"]]


def folders() -> typing.List[Path]:
    """Where kernels lie, the most important first.

    A TensorFlow kernel's own Jupyter paths are those of its environment; the folder that its kernelspec was read
    from is handed to it in ``TFKERNELS_KERNELS``, so that it finds its siblings.
    """
    siblings = os.environ.get("TFKERNELS_KERNELS")
    paths = ([siblings] if siblings else []) + list(jupyter_path("kernels"))
    return [Path(path) for path in dict.fromkeys(paths)]


def find() -> typing.Dict[str, KernelSpec]:
    """All kernels of tfkernels by name. A name found twice is the first one's, as in Jupyter."""
    found: typing.Dict[str, KernelSpec] = {}
    for spec in every():
        found.setdefault(spec.name, spec)
    return found


def every() -> typing.List[KernelSpec]:
    """All of them, the ones that are hidden by one of the same name included."""
    found = []
    for folder in folders():
        for name in _names(folder):
            spec = _read(folder / name / "kernel.json")
            if spec is not None:
                found.append(KernelSpec(name, folder / name, spec))
    return found


def get(name: str) -> KernelSpec:
    """The kernel ``name``; raises ``UnknownKernel`` with the nearest names."""
    known = find()
    if name in known:
        return known[name]
    _look_for_files_left(name)
    if not known:
        raise UnknownKernel(
            f"there is no kernel {name!r}, nor any other of tfkernels. Make the two usual ones with: tfkernels install"
        )
    listed = f"Registered are: {', '.join(sorted(known))}."
    if name in ("tf1", "tf2"):
        raise UnknownKernel(f"there is no kernel {name!r}. Make it with: tfkernels install {name}. {listed}")
    near = difflib.get_close_matches(name, known, n=3, cutoff=0.4)
    hint = f"Did you mean {' or '.join(near)}? " if near else ""
    raise UnknownKernel(
        f"tfkernels has no kernel {name!r}. {hint}{listed} Another release is added with: tfkernels install RELEASE"
    )


def _look_for_files_left(name: str) -> None:
    """Who may open no more files finds no kernel, and would be told to install what is there."""
    try:
        os.close(os.open(os.devnull, os.O_RDONLY))
    except OSError as error:
        raise UnknownKernel(
            f"the kernel {name!r} cannot be looked up ({error.strerror}): this process has too many files open; close "
            f"some, or raise the limit (ulimit -n)"
        ) from error


def _names(folder: Path) -> typing.List[str]:
    try:
        return sorted(os.listdir(folder))
    except OSError:
        return []  # not there, or not for this user to read


_parsed: typing.Dict[Path, typing.Tuple[int, typing.Optional[typing.Dict[str, typing.Any]]]] = {}


def _read(path: Path) -> typing.Optional[typing.Dict[str, typing.Any]]:
    """One of our kernel.json's content, parsed again only when the file has changed: magics look before every cell."""
    try:
        changed = path.stat().st_mtime_ns
        if path not in _parsed or _parsed[path][0] != changed:
            _parsed[path] = (changed, _ours(json.loads(path.read_text(encoding="utf-8"))))
    except (OSError, ValueError):
        return None  # not a kernel, or one that is being written: Jupyter does not list it either
    return _parsed[path][1]


def _ours(content: typing.Any) -> typing.Optional[typing.Dict[str, typing.Any]]:
    """``content`` if it is a kernel that tfkernels registered; anybody may write anything into such a file."""
    metadata = content.get("metadata") if isinstance(content, dict) else None
    described = metadata.get("tfkernels") if isinstance(metadata, dict) else None
    needed = {"environment", "tensorflow", "python", "backend", "command"}
    if isinstance(described, dict) and needed <= set(described) and isinstance(content.get("argv"), list):
        return typing.cast(typing.Dict[str, typing.Any], content)
    return None
