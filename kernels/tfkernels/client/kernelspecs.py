"""The kernels that tfkernels registered, as this process can see them, and other Python kernels of the machine."""

import difflib
import json
import os
import re
import string
import sys
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
    def ours(self) -> bool:
        """Whether our launcher starts it; other kernels have to be sent what the exchange of values needs."""
        described = (self.spec.get("metadata") or {}).get("tfkernels")
        return isinstance(described, dict) and "command" in described

    @property
    def magic(self) -> str:
        """What begins a cell for it."""
        return f"%%{self.name}" if self.ours else f"%%in {self.name}"

    @property
    def remedy(self) -> str:
        """What to do when it does not start."""
        if self.ours:
            return f"find the cause with: tfkernels doctor {self.name}"
        return f"see what it says in: jupyter console --kernel {self.name}"

    @property
    def install_command(self) -> str:
        """What makes this kernel again, one of ours."""
        return str(self.spec["metadata"]["tfkernels"]["command"])

    @property
    def remake(self) -> str:
        """What to do when its program is gone."""
        if self.ours:
            return f"make it anew with: {self.install_command}"
        return f"correct or remove its {self.folder / 'kernel.json'}"

    def command(self, connection_file: str) -> typing.List[str]:
        values = {"connection_file": connection_file, "resource_dir": str(self.folder), "prefix": sys.prefix}
        program, *arguments = self.spec["argv"]
        if re.fullmatch(r"python([23](\.\d+)?)?", program):
            program = self._python()
        return [_substituted(part, values) for part in [program, *arguments]]

    def environment(self, variables: typing.Mapping[str, str]) -> typing.Dict[str, str]:
        """``variables`` with those of the kernelspec, which may refer to them: ``"PATH": "/x/bin:${PATH}"``."""
        own = self.spec.get("env") or {}
        return {**variables, **{name: string.Template(own[name]).safe_substitute(variables) for name in own}}

    def _python(self) -> str:
        """A kernelspec that says ``python`` means that of the Jupyter it lies beside, as Jupyter itself has it."""
        siblings = os.environ.get("TFKERNELS_KERNELS")
        beside = self.folder.parents[3] / "bin" / "python" if len(self.folder.parents) > 3 else self.folder
        return str(beside) if siblings == str(self.folder.parent) and beside.exists() else sys.executable


def _substituted(text: str, values: typing.Mapping[str, str]) -> str:
    return re.sub(r"\{([a-z_]+)\}", lambda found: values.get(found.group(1), found.group()), text)


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


def python_kernels() -> typing.Dict[str, Path]:
    """The folders of all kernelspecs of the machine, whoever registered them; not all are Python's."""
    return {name: Path(folder) for name, folder in _manager().find_kernel_specs().items()}


def _manager() -> typing.Any:
    from jupyter_client.kernelspec import KernelSpecManager

    return KernelSpecManager(kernel_dirs=[str(folder) for folder in folders()])


def get(name: str) -> KernelSpec:
    """The kernel ``name``: one of ours, or another Python kernel. Raises ``UnknownKernel`` with the nearest names."""
    known = find()
    if name in known:
        return known[name]
    _look_for_files_left(name)
    others = python_kernels()
    if name in others:
        return _other(name, others[name])
    if name in ("tf1", "tf2"):
        listed = f" Registered are: {', '.join(sorted(known))}." if known else ""
        raise UnknownKernel(f"there is no kernel {name!r}. Make it with: tfkernels install {name}.{listed}")
    near = difflib.get_close_matches(name, sorted({*known, *others}), n=3, cutoff=0.4)
    hint = f" Did you mean {' or '.join(near)}?" if near else ""
    listed = f" Registered are: {', '.join(sorted({*known, *others}))}." if known or others else ""
    raise UnknownKernel(
        f"there is no kernel {name!r}.{hint}{listed} A release of TensorFlow is added with: tfkernels install RELEASE"
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


def _other(name: str, folder: Path) -> KernelSpec:
    try:
        found = _manager().get_kernel_spec(name).to_dict()
    except Exception:  # noqa: BLE001 (anybody may write anything into such a file)
        found = _anything(folder / "kernel.json")
    metadata = found.get("metadata") or {}
    provisioner = (metadata.get("kernel_provisioner") or {}).get("provisioner_name", "local-provisioner")
    if str(found.get("language", "")).lower() != "python":
        raise UnknownKernel(
            f"kernel {name!r} is one for {found.get('language') or 'nothing'}; only Python's can be used"
        )
    if provisioner != "local-provisioner":
        raise UnknownKernel(
            f"kernel {name!r} is started by {provisioner}, which only Jupyter can do. Open it in a notebook, and use "
            f"it from here after: %tfkernels attach"
        )
    return KernelSpec(name, folder, found)


def _anything(path: Path) -> typing.Dict[str, typing.Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


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
