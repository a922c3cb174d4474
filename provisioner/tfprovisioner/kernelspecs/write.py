"""Writing and removing the kernelspec folders that Jupyter's clients read."""

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
"""The name of our entry point in the group ``jupyter_client.kernel_provisioners``."""

START = "start.py"
"""In a kernelspec folder: what hands over to the installed code, or says that there is none."""

_LOGOS = Path(__file__).parent / "logos"


def kernels_folder(user: bool) -> Path:
    """Where kernelspecs go: beside this Python's Jupyter, or where all of the user's Jupyters look."""
    base = Path(jupyter_data_dir()) if user else Path(sys.prefix) / "share" / "jupyter"
    return base / "kernels"


def write(
    order: InstallRequest | AddRequest,
    environment: Environment,
    theirs: Existing | None = None,
    kernels: Path | None = None,
) -> tuple[Path, bool]:
    """Registers an environment as the ordered kernel; returns the kernelspec's folder, and whether anything changed.

    ``theirs`` is given if the environment is the user's; nothing is written down in it. ``kernels`` is a folder that
    no Jupyter looks into, for a kernel that is nobody's to pick.

    ``kernel.json`` is replaced last and at once: a reader finds the old kernel or the new one. Raises
    ``ProvisionError``.
    """
    kernels = kernels or kernels_folder(order.user)
    folder = kernels / order.kernel
    content = _content(order, environment, kernels)
    if theirs is not None:
        content["metadata"]["tfkernels"]["package"] = str(theirs.package)
    files = _files(environment)
    changed = not all(_same(file, folder / file.name) for file in files)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for file in files:
            replace_bytes(folder / file.name, file.read_bytes())
        changed |= _run_by(theirs.python if theirs else environment.python, folder, content)
        changed |= _read(folder / "kernel.json") != content
        if theirs is None:
            note_kernel(environment.folder, folder)
        replace_text(folder / "kernel.json", json.dumps(content, indent=1, ensure_ascii=False))
        tidy(folder)
    except OSError as error:
        raise ProvisionError(
            f"The kernel could not be registered in {folder.parent}: {error.strerror}. If that folder is not yours to "
            f"write, add --user to the command: that registers the kernel for all your Jupyters."
        ) from error
    return folder, changed


def _files(environment: Environment) -> list[Path]:
    """What lies beside ``kernel.json``: the logos, and the code that finds ours."""
    generation = environment.recipe.tensorflow.split(".")[0]
    return [*sorted((_LOGOS / f"tf{generation}").iterdir()), Path(tfkernels.__file__).with_name(START)]


def _same(one: Path, other: Path) -> bool:
    return other.is_file() and one.read_bytes() == other.read_bytes()


def repoint(folder: Path, environment: Environment) -> None:
    """Lets an existing kernel use another environment of the same recipe; the rest of it stays as it is."""
    content = _read(folder / "kernel.json")
    described = content["metadata"]["tfkernels"]
    order = made_by(described)
    content["env"] = {**_others(content["env"]), **_own(environment, order.devices if order else None)}
    described.update(environment=str(environment.folder), python=environment.python_version)
    try:
        _run_by(environment.python, folder, content)
        note_kernel(environment.folder, folder)
        replace_text(folder / "kernel.json", json.dumps(content, indent=1, ensure_ascii=False))
        tidy(folder)
    except OSError as error:
        raise ProvisionError(
            f"The new environment was built and registered, but the kernel in {folder} still points to the old one: "
            f"{error.strerror}. Make that folder writable and run the same command again."
        ) from error


def _run_by(python: Path, folder: Path, content: dict[str, Any]) -> bool:
    """Has the content of a ``kernel.json`` name a Python; returns whether the script in its place is a new one."""
    variables, described = content["env"], content["metadata"]["tfkernels"]
    variables.pop(python_shim.PYTHON, None)
    described.pop(python_shim.INTERPRETER, None)
    content["argv"][0] = str(python)
    if os.name == "nt":
        return False
    name = folder.name
    told = health.told(content["display_name"], described, f"its Python {python} is not there any more")
    text = python_shim.text(
        str(python),
        str(folder / START),
        variables.get(JUPYTER, sys.executable),
        variables.get(env_vars.OWN, "").split(","),
        f"{told} Or take the kernel away with: jupyter kernelspec remove {name}",
    ).encode("utf-8")
    script = folder / python_shim.NAME
    changed = not script.is_file() or script.read_bytes() != text
    replace_bytes(script, text, executable=True)
    if python_shim.works(script):
        content["argv"][0] = str(script)
        variables[python_shim.PYTHON] = _escaped(str(python))
        described[python_shim.INTERPRETER] = str(python)
    return changed


def check_name(order: InstallRequest | AddRequest) -> None:
    """Raises ``BadKernelName`` if an order's name is no name for a kernel, or that of one which is somebody else's."""
    name = order.kernel
    if not re.fullmatch(r"[a-z0-9._-]+", name):
        raise BadKernelName(
            f"A kernel cannot be called {name!r}: Jupyter allows lower-case letters, digits, '.', '_' and '-' in names."
        )
    path = kernels_folder(order.user) / name / "kernel.json"
    if not path.exists():
        return
    described = described_in(path.parent)
    if described is None and damaged(path.parent):
        return
    if described is None:
        raise BadKernelName(
            f"There is already a kernel {name!r} in {path.parent} that tfkernels did not make; it was left as it is. "
            f"Choose another name with --name."
        )
    if not _made_by(order, described):
        raise BadKernelName(
            f"There is already a kernel {name!r}, made by: {described.get('command')}. Choose another name, or "
            f"remove it first with: tfkernels remove {name}"
        )


def _made_by(order: InstallRequest | AddRequest, described: dict[str, Any]) -> bool:
    """Whether a kernel is what an order asks for, perhaps with other packages or options."""
    if isinstance(order, AddRequest):
        return described.get("backend") == EXISTING and described.get("environment") == order.path
    made = made_by(described)
    return made is not None and releases.kernel_name(made.release or order.release) == releases.kernel_name(
        order.release
    )


def damaged(folder: Path) -> bool:
    """Whether a kernelspec folder is one of ours whose ``kernel.json`` cannot be read any more."""
    file = folder / "kernel.json"
    return file.exists() and (folder / START).exists() and not _read(file)


def described_in(folder: Path) -> dict[str, Any] | None:
    """What the kernel in a kernelspec folder says of itself; ``None`` if it is not one that tfkernels made."""
    metadata = _read(folder / "kernel.json").get("metadata")
    described = metadata.get("tfkernels") if isinstance(metadata, dict) else None
    return described if isinstance(described, dict) else None


def remove(folder: Path) -> None:
    """Deletes a kernelspec folder; without ``kernel.json`` it is no kernel any more, so that goes first."""
    (folder / "kernel.json").unlink(missing_ok=True)
    shutil.rmtree(folder)


def _content(order: InstallRequest | AddRequest, environment: Environment, kernels: Path) -> dict[str, Any]:
    name = order.kernel
    release = environment.recipe.tensorflow
    metadata: dict[str, Any] = {
        "tfkernels": {
            "environment": str(environment.folder),
            "tensorflow": release,
            "python": environment.python_version,
            "backend": environment.recipe.backend,
            "command": order.command,
        }
    }
    devices = None
    if isinstance(order, InstallRequest):
        metadata["tfkernels"]["order"] = order.to_json()
        devices = order.devices
    # What its ipykernel can do (debugger, encryption) is a fact of the environment, not of the one we run in.
    own = _read(environment.folder / "share" / "jupyter" / "kernels" / "python3" / "kernel.json")
    metadata.update(own.get("metadata", {}))
    if not order.user:  # a Jupyter that lacks the provisioner hides kernels that name it
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
            "TFKERNELS_KERNEL_COMMAND": order.command,
            "TFKERNELS_KERNEL_TENSORFLOW": release,
            JUPYTER: sys.executable,
            "TFKERNELS_KERNELS": str(kernels),
            **_own(environment, devices),
        },
        "metadata": metadata,
    }


def _own(environment: Environment, devices: str | None) -> dict[str, str]:
    """What this kernel alone is started with: what activating a conda environment sets, CUDA's libraries, its GPUs."""
    done = activation(environment.folder)
    with_cuda = environment.folder if environment.recipe.gpu else None
    variables = {**done.variables, **cuda.variables(with_cuda, devices)}
    if not variables:
        return {}
    path = [*done.path, *cuda.programs(with_cuda)]
    escaped = {name: _escaped(value) for name, value in variables.items()}
    return {**escaped, env_vars.OWN: ",".join(variables), env_vars.OWN_PATH: os.pathsep.join(path)}


def _escaped(value: str) -> str:
    """Jupyter's clients put other variables in place of ``$NAME``."""
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
