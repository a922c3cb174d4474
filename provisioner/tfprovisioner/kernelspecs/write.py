"""Kernelspec folders: writing, reading and removing them. See docs/design/kernelspecs.md."""

import json
import os
import re
import shutil
import sys
from pathlib import Path
from typing import Any

from jupyter_core.paths import jupyter_data_dir

import tfkernels
from tfkernels import env_vars
from tfkernels.client import kernelspecs
from tfkernels.start import JUPYTER
from tfprovisioner.catalogue import releases
from tfprovisioner.conda.activation import activation
from tfprovisioner.environments.request import EXISTING, AddRequest, InstallRequest, made_by
from tfprovisioner.environments.store import Environment, note_kernel
from tfprovisioner.errors import BadKernelName, ProvisionError
from tfprovisioner.existing.inspect import Existing
from tfprovisioner.gpu import cuda
from tfprovisioner.kernelspecs import health, python_shim
from tfprovisioner.kernelspecs.display_name import display_name
from tfprovisioner.system.files import replace_bytes, replace_text, tidy

PROVISIONER = "tfkernels-provisioner"
"""Our entry point in the group ``jupyter_client.kernel_provisioners``."""

START = "start.py"
"""The file in a kernelspec folder that starts the installed ``launcher.py``, or says that it is gone."""

_LOGOS = Path(__file__).parent / "logos"


def kernels_folder(user: bool) -> Path:
    """The folder of kernelspecs: beside this Python's Jupyter, or for all Jupyters of the user."""
    base = Path(jupyter_data_dir()) if user else Path(sys.prefix) / "share" / "jupyter"
    return base / "kernels"


def write(
    request: InstallRequest | AddRequest,
    environment: Environment,
    existing: Existing | None = None,
    kernels: Path | None = None,
) -> tuple[Path, bool]:
    """Registers an environment as a kernel; returns the kernelspec's folder, and whether anything changed.

    ``existing`` is an environment of the user's; no file is written to it. ``kernels`` is a folder that no Jupyter
    reads, for kernels of batches. ``kernel.json`` is replaced last and atomically. Raises ``ProvisionError``.
    """
    kernels = kernels or kernels_folder(request.user)
    folder = kernels / request.kernel
    content = _content(request, environment, kernels)
    if existing is not None:
        content["metadata"]["tfkernels"]["package"] = str(existing.package)
    files = _files(environment)
    changed = not all(_same(file, folder / file.name) for file in files)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for file in files:
            replace_bytes(folder / file.name, file.read_bytes())
        changed |= _run_by(existing.python if existing else environment.python, folder, content)
        changed |= _read(folder / "kernel.json") != content
        if existing is None:
            note_kernel(environment.folder, folder)
        replace_text(folder / "kernel.json", json.dumps(content, indent=1, ensure_ascii=False))
        tidy(folder)
    except OSError as error:
        raise ProvisionError(
            f"The kernel could not be registered in {folder.parent}: {error.strerror}. If you cannot write to that "
            f"folder, add --user to the command: it registers the kernel for all your Jupyters."
        ) from error
    return folder, changed


def _files(environment: Environment) -> list[Path]:
    """The files beside ``kernel.json``: the logos, and ``start.py``."""
    generation = environment.recipe.tensorflow.split(".")[0]
    return [*sorted((_LOGOS / f"tf{generation}").iterdir()), Path(tfkernels.__file__).with_name(START)]


def _same(one: Path, other: Path) -> bool:
    return other.is_file() and one.read_bytes() == other.read_bytes()


def repoint(folder: Path, environment: Environment) -> None:
    """Points a kernel to another environment of the same recipe. Raises ``ProvisionError``."""
    content = _read(folder / "kernel.json")
    described = content["metadata"]["tfkernels"]
    request = made_by(described)
    content["env"] = {**_others(content["env"]), **_own(environment, request.devices if request else None)}
    described.update(environment=str(environment.folder), python=environment.python_version)
    try:
        _run_by(environment.python, folder, content)
        note_kernel(environment.folder, folder)
        replace_text(folder / "kernel.json", json.dumps(content, indent=1, ensure_ascii=False))
        tidy(folder)
    except OSError as error:
        raise ProvisionError(
            f"The kernel in {folder} could not be pointed to the new environment: {error.strerror}. Make that folder "
            f"writable and run the same command again."
        ) from error


def _run_by(python: Path, folder: Path, content: dict[str, Any]) -> bool:
    """Writes the script for a Python, and names it in a ``kernel.json``; returns whether the script changed."""
    variables, described = content["env"], content["metadata"]["tfkernels"]
    variables.pop(python_shim.PYTHON, None)
    described.pop(python_shim.INTERPRETER, None)
    content["argv"][0] = str(python)
    if os.name == "nt":
        return False
    message = health.message(content["display_name"], described, f"its Python {python} does not exist")
    text = python_shim.text(
        str(python),
        str(folder / START),
        variables.get(JUPYTER, sys.executable),
        variables.get(env_vars.OWN, "").split(","),
        f"{message} Or delete the kernel with: jupyter kernelspec remove {folder.name}",
    ).encode("utf-8")
    script = folder / python_shim.NAME
    changed = not script.is_file() or script.read_bytes() != text
    replace_bytes(script, text, executable=True)
    if python_shim.works(script):
        content["argv"][0] = str(script)
        variables[python_shim.PYTHON] = _escaped(str(python))
        described[python_shim.INTERPRETER] = str(python)
    return changed


def check_name(request: InstallRequest | AddRequest) -> None:
    """Raises ``BadKernelName`` if Jupyter does not allow the name, or if another kernel has it."""
    name = request.kernel
    if not re.fullmatch(r"[a-z0-9._-]+", name):
        raise BadKernelName(
            f"{name!r} is not a kernel name: Jupyter allows lower-case letters, digits, '.', '_' and '-'. Choose "
            f"another one with --name."
        )
    path = kernels_folder(request.user) / name / "kernel.json"
    if not path.exists():
        return
    described = described_in(path.parent)
    if described is None and damaged(path.parent):
        return
    if described is None:
        raise BadKernelName(
            f"Another program made the kernel {name!r} in {path.parent}, so it was not changed. Choose another name "
            f"with --name."
        )
    if not _made_by(request, described):
        raise BadKernelName(
            f"There is already a kernel {name!r}, made by: {described.get('command')}. Choose another name with "
            f"--name, or delete that kernel with: tfkernels remove {name}"
        )


def _made_by(request: InstallRequest | AddRequest, described: dict[str, Any]) -> bool:
    """Whether a kernel is of the requested release or environment; packages and options may differ."""
    if isinstance(request, AddRequest):
        return described.get("backend") == EXISTING and described.get("environment") == request.path
    made = made_by(described)
    return made is not None and releases.kernel_name(made.release or request.release) == releases.kernel_name(
        request.release
    )


def damaged(folder: Path) -> bool:
    """Whether a kernelspec folder is ours and its ``kernel.json`` cannot be read."""
    file = folder / "kernel.json"
    return file.exists() and (folder / START).exists() and not _read(file)


def described_in(folder: Path) -> dict[str, Any] | None:
    """``metadata.tfkernels`` of the kernel in a folder; ``None`` if tfkernels did not make it."""
    metadata = _read(folder / "kernel.json").get("metadata")
    described = metadata.get("tfkernels") if isinstance(metadata, dict) else None
    return described if isinstance(described, dict) else None


def remove(folder: Path) -> None:
    """Deletes a kernelspec folder, ``kernel.json`` first: Jupyter never finds half a kernel."""
    (folder / "kernel.json").unlink(missing_ok=True)
    shutil.rmtree(folder)


def _content(request: InstallRequest | AddRequest, environment: Environment, kernels: Path) -> dict[str, Any]:
    name = request.kernel
    release = environment.recipe.tensorflow
    metadata: dict[str, Any] = {
        "tfkernels": {
            "environment": str(environment.folder),
            "tensorflow": release,
            "python": environment.python_version,
            "backend": environment.recipe.backend,
            "command": request.command,
        }
    }
    devices = None
    if isinstance(request, InstallRequest):
        metadata["tfkernels"]["order"] = request.to_json()
        devices = request.devices
    # Abilities of its ipykernel (debugger, encryption)
    own = _read(environment.folder / "share" / "jupyter" / "kernels" / "python3" / "kernel.json")
    metadata.update(own.get("metadata", {}))
    if not request.user:  # a Jupyter that lacks the provisioner hides kernels that name it
        metadata["kernel_provisioner"] = {"provisioner_name": PROVISIONER, "config": {}}
    launcher = Path(tfkernels.__file__).with_name("launcher.py")
    start = kernels / name / START
    taken = {str(spec.spec.get("display_name")) for other, spec in kernelspecs.find().items() if other != name}
    return {
        "argv": [str(environment.python), str(start), str(launcher), "-f", "{connection_file}"],
        "display_name": display_name(name, release, environment.python_version, taken, gpu=environment.recipe.gpu),
        "language": "python",
        "env": {
            # Empty is unset for Python; a kernelspec can only overwrite. For Python 3.6 an empty home is a home.
            "PYTHONPATH": "",
            **({} if environment.python_version.startswith("3.6.") else {"PYTHONHOME": ""}),
            "PYTHONNOUSERSITE": "1",
            "TFKERNELS_KERNEL": name,
            "TFKERNELS_KERNEL_COMMAND": request.command,
            "TFKERNELS_KERNEL_TENSORFLOW": release,
            JUPYTER: sys.executable,
            "TFKERNELS_KERNELS": str(kernels),
            **_own(environment, devices),
        },
        "metadata": metadata,
    }


def _own(environment: Environment, devices: str | None) -> dict[str, str]:
    """Variables of this kernel alone: conda's activation, CUDA's libraries, the GPUs it sees."""
    done = activation(environment.folder)
    with_cuda = environment.folder if environment.recipe.gpu else None
    variables = {**done.variables, **cuda.variables(with_cuda, devices)}
    if not variables:
        return {}
    path = [*done.path, *cuda.programs(with_cuda)]
    escaped = {name: _escaped(value) for name, value in variables.items()}
    return {**escaped, env_vars.OWN: ",".join(variables), env_vars.OWN_PATH: os.pathsep.join(path)}


def _escaped(value: str) -> str:
    """Jupyter's clients replace ``$NAME`` by variables."""
    return value.replace("$", "$$")


def _others(variables: dict[str, str]) -> dict[str, str]:
    own = {*variables.get(env_vars.OWN, "").split(","), env_vars.OWN, env_vars.OWN_PATH}
    return {name: value for name, value in variables.items() if name not in own}


def _read(path: Path) -> dict[str, Any]:
    try:
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}
