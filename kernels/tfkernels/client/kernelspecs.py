"""Registered kernels: those of tfkernels, and other Python kernels of the machine."""

from __future__ import annotations

import difflib
import functools
import json
import os
import re
import string
import sys
from pathlib import Path
from typing import Any, Mapping, NamedTuple

from jupyter_core.paths import jupyter_path

from tfkernels import env_vars
from tfkernels.errors import UnknownKernel
from tfkernels.imports import own_imports


class KernelSpec(NamedTuple):
    """One registered kernel; ``spec`` is the content of its ``kernel.json``."""

    name: str
    folder: Path
    spec: dict[str, Any]

    @property
    def described(self) -> dict[str, Any]:
        """``metadata.tfkernels`` of a kernel of ours; empty for others."""
        found = (self.spec.get("metadata") or {}).get("tfkernels")
        return found if isinstance(found, dict) and "command" in found else {}

    @property
    def ours(self) -> bool:
        """Whether our launcher starts it. Other kernels have to be prepared for values."""
        return bool(self.described)

    @property
    def magic(self) -> str:
        """The beginning of a cell for it."""
        return f"%%{self.name}" if self.ours else f"%%in {self.name}"

    @property
    def diagnose_hint(self) -> str:
        """The command for a kernel that does not start."""
        if self.ours:
            return f"Find the cause with: tfkernels doctor {self.name}"
        return f"Find the cause with: jupyter console --kernel {self.name}"

    @property
    def install_command(self) -> str:
        """The command that builds this kernel again, one of ours."""
        return str(self.described["command"])

    @property
    def rebuild_hint(self) -> str:
        """The command for a kernel whose program is gone."""
        if self.ours:
            return f"Rebuild it with: {self.install_command}"
        return f"Correct or delete its {self.folder / 'kernel.json'}."

    def command(self, connection_file: str) -> list[str]:
        values = {"connection_file": connection_file, "resource_dir": str(self.folder), "prefix": sys.prefix}
        program, *arguments = self.spec["argv"]
        if re.fullmatch(r"python([23](\.\d+)?)?", program):
            program = self._python()
        return [
            re.sub(r"\{([a-z_]+)\}", lambda found: values.get(found.group(1), found.group()), part)
            for part in [program, *arguments]
        ]

    def environment(self, variables: Mapping[str, str]) -> dict[str, str]:
        """The kernel's, from ``variables`` of the process that starts it, as in Jupyter.

        Those of the kernelspec may refer to them: ``"PATH": "/x/bin:${PATH}"``.
        """
        given = env_vars.of_client(variables)
        templates = self.spec.get("env") or {}
        own = {name: string.Template(text).safe_substitute(given) for name, text in templates.items()}
        return env_vars.for_kernel(variables, own) if self.ours else {**given, **own}

    def _python(self) -> str:
        """The Python that ``python`` means in a kernelspec: as in Jupyter, that of the Jupyter beside it."""
        siblings = os.environ.get("TFKERNELS_KERNELS")
        beside = self.folder.parents[3] / "bin" / "python" if len(self.folder.parents) > 3 else self.folder
        return str(beside) if siblings == str(self.folder.parent) and beside.exists() else sys.executable


def folders() -> list[Path]:
    """Folders of kernels, the most important first.

    A TensorFlow kernel's own Jupyter paths are those of its environment. ``TFKERNELS_KERNELS`` names the folder that
    its kernelspec was read from, so that it finds the other kernels.
    """
    siblings = os.environ.get("TFKERNELS_KERNELS")
    paths = ([siblings] if siblings else []) + list(jupyter_path("kernels"))
    return [Path(path) for path in dict.fromkeys(paths)]


def find() -> dict[str, KernelSpec]:
    """All kernels of tfkernels by name. As in Jupyter, the first of one name hides the others."""
    found: dict[str, KernelSpec] = {}
    for spec in every():
        found.setdefault(spec.name, spec)
    return found


def every() -> list[KernelSpec]:
    """All kernels of tfkernels, also hidden ones."""
    found = []
    for folder in folders():
        try:
            names = sorted(os.listdir(folder))
        except OSError:
            continue  # it does not exist, or this user may not read it
        for name in names:
            spec = _read(folder / name / "kernel.json")
            if spec is not None:
                found.append(KernelSpec(name, folder / name, spec))
    return found


def python_kernels() -> dict[str, str]:
    """The folders of all kernelspecs of the machine, also of other languages."""
    found: dict[str, str] = _manager().find_kernel_specs()
    return found


def _manager() -> Any:
    with own_imports():
        from jupyter_client.kernelspec import KernelSpecManager

    return KernelSpecManager(kernel_dirs=[str(folder) for folder in folders()])


def get(name: str) -> KernelSpec:
    """The kernel ``name``: one of ours, or another Python kernel. Raises ``UnknownKernel`` with the nearest names."""
    known = find()
    if name in known:
        return known[name]
    problem = missing_files(1)
    if problem:  # such a process finds no kernel, and would advise to install one that is there
        raise UnknownKernel(f"Cannot look up kernel {name!r}: {problem}.")
    others = python_kernels()
    if name in others:
        return _other(name, Path(others[name]))
    names = sorted({*known, *others})
    listed = f" Registered are: {', '.join(names)}." if names else ""
    near = difflib.get_close_matches(name, names, n=3, cutoff=0.4)
    hint = f" Did you mean {' or '.join(near)}?" if near else ""
    message = f"There is no kernel {name!r}.{hint}{listed}"
    if name in ("tf1", "tf2"):
        raise UnknownKernel.install(message, f"Install TensorFlow {name[2:]}", name)
    release = re.fullmatch(r"tf([12]\.\d+(?:\.\d+)?)", name)
    if release is None:
        raise UnknownKernel.install(message, "Install a release of TensorFlow", "RELEASE")
    advice = "If there is such a release (`tfkernels releases` shows them), install it"  # kernels lack the catalogue
    raise UnknownKernel.install(message, advice, release[1])


def missing_files(count: int) -> str:
    """The reason why this process cannot open ``count`` more files, or nothing."""
    opened: list[int] = []
    try:
        opened.extend(os.open(os.devnull, os.O_RDONLY) for _ in range(count))
    except OSError as error:
        return f"this process has too many files open ({error.strerror}). Close some, or raise the limit (ulimit -n)"
    finally:
        for descriptor in opened:
            os.close(descriptor)
    return ""


def _other(name: str, folder: Path) -> KernelSpec:
    """A kernel that tfkernels did not register. Raises ``UnknownKernel`` if it cannot be used from here."""
    with own_imports():
        from jupyter_client.kernelspec import KernelSpec as JupyterKernelSpec
        from traitlets import TraitError

    try:
        if (folder / "kernel.json").is_file():  # ``get_kernel_spec`` hides kernels whose provisioner is missing here
            spec = JupyterKernelSpec.from_resource_dir(str(folder)).to_dict()
        else:  # Jupyter's own Python, which has no such file
            spec = _manager().get_kernel_spec(name).to_dict()
    except (OSError, LookupError, TypeError, ValueError, AttributeError, TraitError) as error:
        why = f"{folder / 'kernel.json'} is damaged ({error})"
        raise UnknownKernel(f"Cannot use kernel {name!r}: {why}. Correct or delete it.") from error
    if str(spec.get("language", "")).lower() != "python":
        language = spec.get("language") or "no language"
        raise UnknownKernel(f"Cannot use kernel {name!r}: it is one for {language}, not for Python.")
    metadata = spec.get("metadata") or {}
    provisioner = (metadata.get("kernel_provisioner") or {}).get("provisioner_name", "local-provisioner")
    if provisioner != "local-provisioner":
        raise UnknownKernel(
            f"Cannot start kernel {name!r}: it is started by {provisioner}, which only Jupyter can do. Open it in a "
            f"notebook, then use it from here with: %tfkernels attach"
        )
    return KernelSpec(name, folder, spec)


def _read(path: Path) -> dict[str, Any] | None:
    """Content of a kernel.json of ours."""
    try:
        found = path.stat()
        return _parsed(path, (found.st_mtime_ns, found.st_size, found.st_ino))
    except (OSError, ValueError):
        return None  # not a kernel, or one that is being written; Jupyter does not list it either


@functools.lru_cache(maxsize=1000)
def _parsed(path: Path, _state: tuple[int, ...]) -> dict[str, Any] | None:
    """Magics look before every cell, and an unchanged file is not read again. The file may hold anything."""
    content = json.loads(path.read_text(encoding="utf-8"))
    metadata = content.get("metadata") if isinstance(content, dict) else None
    described = metadata.get("tfkernels") if isinstance(metadata, dict) else None
    needed = {"environment", "tensorflow", "python", "backend", "command"}
    if isinstance(described, dict) and needed <= set(described) and isinstance(content.get("argv"), list):
        return dict(content)
    return None
