"""Kernelspec folders: writing, reading and removing them. See docs/design/kernelspecs.md."""

import json
import os
import re
import shutil
import sys
from collections.abc import Container
from dataclasses import replace
from pathlib import Path
from typing import Any

from jupyter_core.paths import jupyter_data_dir

import tfkernels
from tfkernels import env_vars, start_or_explain
from tfkernels.client import kernelspecs
from tfkernels.client.kernelspecs import KernelSpec
from tfkernels.start_or_explain import JUPYTER
from tfprovisioner.catalogue import releases
from tfprovisioner.conda.activation import activation
from tfprovisioner.environments import backends
from tfprovisioner.environments.store import Environment, note_kernel
from tfprovisioner.errors import BadKernelName, ProvisionError
from tfprovisioner.gpu import cuda
from tfprovisioner.kernelspecs import health, python_shim
from tfprovisioner.requirements.lock_file import Lock
from tfprovisioner.requirements.request import EXISTING, AddRequest, InstallRequest, made_by
from tfprovisioner.system.files import replace_bytes, tidy

PROVISIONER = "tfkernels-provisioner"
"""Our entry point in the group ``jupyter_client.kernel_provisioners``."""

START = "start.py"
"""The file in a kernelspec folder that starts the installed ``launcher.py``, or says that it is gone."""

LOCK = "lock.txt"
"""The file in a kernelspec folder with the lock that the kernel was asked for with."""

NAME = r"[a-z0-9_][a-z0-9._-]{0,99}"
"""What a kernel may be called. Jupyter allows a dot and ``-`` first, too: ``..`` is a folder, ``-k`` an option."""

_LOGOS = Path(__file__).parent / "logos"


def kernels_folder(request: InstallRequest | AddRequest) -> Path:
    """The folder of kernelspecs: beside this Python's Jupyter, for all Jupyters of the user, or below a prefix."""
    base = Path(jupyter_data_dir()) if request.user else Path(request.prefix or sys.prefix) / "share" / "jupyter"
    return base / "kernels"


def write(
    request: InstallRequest | AddRequest,
    environment: Environment,
    package: Path | None = None,
    kernels: Path | None = None,
) -> tuple[Path, bool]:
    """Registers an environment as a kernel; returns the kernelspec's folder, and whether anything changed.

    ``package`` is where TensorFlow is in an environment of the user's; no file is written to that. ``kernels`` is a
    folder that no Jupyter reads, for kernels of batches. Raises ``ProvisionError``.
    """
    kernels = kernels or kernels_folder(request)
    folder = kernels / request.kernel
    lock = request.locked if isinstance(request, InstallRequest) else None
    if isinstance(request, InstallRequest) and lock is not None:  # it is kept with the kernel
        request = replace(request, lock=str(folder / LOCK))
    content = _content(request, environment, kernels)
    if package is not None:
        content["metadata"]["tfkernels"]["package"] = str(package)
    logos = _LOGOS / f"tf{environment.recipe.tensorflow.split('.')[0]}"
    new = not folder.exists()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        changed = [_replaced(folder / logo.name, logo.read_bytes()) for logo in sorted(logos.iterdir())]
        changed.append(_replaced(folder / START, Path(start_or_explain.__file__).read_bytes()))
        if lock is not None:
            changed.append(_replaced(folder / LOCK, lock.file().encode("utf-8")))
        changed.append(_register(folder, content, environment))
        if lock is None:
            (folder / LOCK).unlink(missing_ok=True)
    except OSError as error:
        if new:
            shutil.rmtree(folder, ignore_errors=True)
        raise _unregistered(request, folder.parent, f"{error.strerror} ({error.filename})") from error
    return folder, any(changed)


def check_writable(request: InstallRequest) -> None:
    """Raises ``ProvisionError`` if no kernel can be registered for a request."""
    folder = kernels_folder(request) / request.kernel
    present = next(path for path in (folder, *folder.parents) if os.path.exists(path))
    if not os.access(present, os.W_OK | os.X_OK):
        raise _unregistered(request, folder.parent, f"{present} cannot be written")


def _unregistered(request: InstallRequest | AddRequest, kernels: Path, cause: str) -> ProvisionError:
    advice = "Free some space or make that place writable, then run the same command again."
    if not request.user and request.prefix is None:
        advice = "Add --user to the command: it registers the kernel for all your Jupyters."
    return ProvisionError(f"The kernel cannot be registered in {kernels}: {cause}. {advice}")


def _register(folder: Path, content: dict[str, Any], environment: Environment) -> bool:
    """Writes the script that stands for the Python, and last, atomically, ``kernel.json``; returns whether one is new.

    ``content`` is that of ``kernel.json``; the Python is put into it here.
    """
    variables, described = content["env"], content["metadata"]["tfkernels"]
    existing = environment.recipe.backend == EXISTING
    python = environment.base_python if existing else str(environment.python)
    message = health.message(content["display_name"], described, f"its Python {python} does not exist")
    text = python_shim.text(
        python,
        str(folder / START),
        variables.get(JUPYTER, sys.executable),
        variables.get(env_vars.OWN, "").split(","),
        f"{message} Or delete the kernel with: jupyter kernelspec remove {folder.name}",
        str(described.get("command", "")),
    )
    script = folder / python_shim.NAME
    changed = _replaced(script, text.encode("utf-8"), executable=True)
    variables.pop(python_shim.PYTHON, None)
    described.pop(python_shim.INTERPRETER, None)
    content["argv"][0] = python
    if python_shim.works(script):
        content["argv"][0] = str(script)
        variables[python_shim.PYTHON] = _escaped(python)
        described[python_shim.INTERPRETER] = python
    if not existing:
        note_kernel(environment.folder, folder)
    changed |= _replaced(folder / "kernel.json", json.dumps(content, indent=1, ensure_ascii=False).encode("utf-8"))
    tidy(folder)
    return changed


def _replaced(path: Path, content: bytes, executable: bool = False) -> bool:
    """Writes a file; returns whether it had another content."""
    same = path.is_file() and path.read_bytes() == content
    if not same or executable > os.access(path, os.X_OK):
        replace_bytes(path, content, executable)
    return not same


def registered(name: str) -> KernelSpec:
    """A kernel that tfkernels made. Raises ``UnknownKernel``, ``BadKernelName``."""
    spec = kernelspecs.get(name)
    if not spec.ours:
        raise BadKernelName(
            f"tfkernels did not make the kernel {name!r}. Find out whether it starts with: jupyter console --kernel "
            f"{name}. Delete it with: jupyter kernelspec remove {name}"
        )
    return spec


def check_name(request: InstallRequest | AddRequest) -> None:
    """Raises ``BadKernelName`` if Jupyter does not allow the name, or if another kernel has it."""
    name = request.kernel
    if not re.fullmatch(NAME, name):
        raise BadKernelName(
            f"{name!r} is not a kernel name: that has up to 100 lower-case letters, digits, '.', '_' and '-', and does "
            f"not begin with '.' or '-'. Choose another one with --name."
        )
    folder = kernels_folder(request) / name
    described = described_in(folder)
    if described is None:
        if (folder / "kernel.json").exists() and not damaged(folder):
            raise BadKernelName(
                f"Another program made the kernel {name!r} in {folder}, so it was not changed. Choose another name "
                f"with --name."
            )
    elif not _made_by(request, described):
        raise BadKernelName(
            f"There is already a kernel {name!r}, made by: {described.get('command')}. Choose another name with "
            f"--name, or delete that kernel with: tfkernels remove {name}"
        )


def _made_by(request: InstallRequest | AddRequest, described: dict[str, Any]) -> bool:
    """Whether a kernel is of the requested release or environment; packages and options may differ."""
    if isinstance(request, AddRequest):
        return described.get("backend") == EXISTING and described.get("environment") == request.path
    made = made_by(described)
    if made is None:
        return False
    if made.lock or request.lock:  # a lock has an exact release, which tf1 may mean
        return releases.find(made.release).version == request.catalogue_entry.version
    named = releases.kernel_name
    return named(made.release or request.release) == named(request.release)


def damaged(folder: Path) -> bool:
    """Whether a kernelspec folder is ours and its ``kernel.json`` cannot be read."""
    file = folder / "kernel.json"
    return file.exists() and (folder / START).exists() and not _read(file)


def described_in(folder: Path) -> dict[str, Any] | None:
    """``metadata.tfkernels`` of the kernel in a folder; ``None`` if tfkernels did not make it."""
    metadata = _read(folder / "kernel.json").get("metadata")
    described = metadata.get("tfkernels") if isinstance(metadata, dict) else None
    return described if isinstance(described, dict) else None


def _read(path: Path) -> dict[str, Any]:
    try:
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def remove(folder: Path) -> None:
    """Deletes a kernelspec folder, ``kernel.json`` first: Jupyter never finds half a kernel."""
    (folder / "kernel.json").unlink(missing_ok=True)
    shutil.rmtree(folder)


def display_name(kernel: str, tensorflow: str, python: str, taken: Container[str] = (), *, gpu: bool = False) -> str:
    """``TensorFlow 1.15 · Python 3.7``; for an exact release ``TensorFlow 1.15.0 · Python 3.7``.

    The kernel's name is added if it is not a usual one, or if another kernel has the same display name (``taken``).
    """
    numbers = tensorflow.split(".")
    line = ".".join(numbers[:2])
    exact = kernel == f"tf{tensorflow}"
    shown = f"TensorFlow {tensorflow if exact else line} · Python {'.'.join(python.split('.')[:2])}{' · GPU' * gpu}"
    usual = exact or kernel in (f"tf{numbers[0]}", f"tf{line}")
    return shown if usual and shown not in taken else f"{shown} ({kernel})"


def _content(request: InstallRequest | AddRequest, environment: Environment, kernels: Path) -> dict[str, Any]:
    name, release, python = request.kernel, environment.recipe.tensorflow, environment.python_version
    described: dict[str, Any] = {
        "environment": str(environment.folder),
        "tensorflow": release,
        "python": python,
        "backend": environment.recipe.backend,
        "command": request.command,
    }
    devices = None
    if isinstance(request, InstallRequest):
        described["order"] = request.to_json()
        described |= _packages(environment)
        devices = request.devices
    # Abilities of its ipykernel (debugger, encryption)
    abilities = _read(environment.folder / "share" / "jupyter" / "kernels" / "python3" / "kernel.json")
    metadata = {"tfkernels": described, **abilities.get("metadata", {})}
    if not request.user and request.prefix is None:  # a Jupyter that lacks the provisioner hides kernels that name it
        metadata["kernel_provisioner"] = {"provisioner_name": PROVISIONER, "config": {}}
    launcher = Path(tfkernels.__file__).with_name("launcher.py")
    taken = {str(spec.spec.get("display_name")) for other, spec in kernelspecs.find().items() if other != name}
    return {
        "argv": ["python", str(kernels / name / START), str(launcher), "-f", "{connection_file}"],
        "display_name": display_name(name, release, python, taken, gpu=environment.recipe.gpu),
        "language": "python",
        "env": {
            "TFKERNELS_KERNEL": name,
            "TFKERNELS_KERNEL_COMMAND": request.command,
            "TFKERNELS_KERNEL_TENSORFLOW": release,
            JUPYTER: sys.executable,
            "TFKERNELS_KERNELS": str(kernels),
            **_own(environment, devices),
        },
        "metadata": metadata,
    }


def _packages(environment: Environment) -> dict[str, str]:
    """The fingerprint of the lock, which notebooks have, too."""
    try:
        text = (environment.folder / backends.LOCK).read_text(encoding="utf-8")
    except OSError:
        return {}
    lock = Lock.of(text, environment.recipe.python, releases.platform_name())
    return {"packages": lock.fingerprint}


def _own(environment: Environment, devices: str | None) -> dict[str, str]:
    """Variables of this kernel alone: its Python's, conda's activation, CUDA's libraries, the GPUs it sees."""
    # Empty is unset for Python; a kernelspec can only overwrite. For Python 3.6 an empty home is a home.
    isolated = {"PYTHONPATH": "", "PYTHONHOME": "", "PYTHONNOUSERSITE": "1"}
    if environment.python_version.startswith("3.6."):
        del isolated["PYTHONHOME"]
    done = activation(environment.folder)
    with_cuda = environment.folder if environment.recipe.gpu else None
    variables = {**isolated, **done.variables, **cuda.variables(with_cuda, devices)}
    path = [*done.path, *cuda.programs(with_cuda)]
    escaped = {name: _escaped(value) for name, value in variables.items()}
    return {**escaped, env_vars.OWN: ",".join(variables), env_vars.OWN_PATH: os.pathsep.join(path)}


def _escaped(value: str) -> str:
    """Jupyter's clients replace ``$NAME`` by variables."""
    return value.replace("$", "$$")
