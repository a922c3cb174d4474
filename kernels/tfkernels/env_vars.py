"""The environment variables that a kernel's process should and should not see."""

import os
import sys
import typing

_FOREIGN = frozenset(
    {
        # What another Python would import from, or take for its own installation
        "PYTHONPATH",
        "PYTHONHOME",
        "PYTHONSTARTUP",
        "PYTHONEXECUTABLE",
        "__PYVENV_LAUNCHER__",
        "VIRTUAL_ENV",
        "VIRTUAL_ENV_PROMPT",
        # Libraries of the server's environment; a kernel's own are found without it
        "LD_LIBRARY_PATH",
        "DYLD_LIBRARY_PATH",
        # What one kernel was told at its start and must not hand on to the next
        "JPY_PARENT_PID",
    }
)
_FOREIGN_PREFIXES = ("CONDA_", "_CONDA_", "TFKERNELS_KERNEL", "TFKERNELS_FOLDER")

OWN = "TFKERNELS_KERNEL_OWN"
"""Names, with commas between: what this kernel's environment sets when it is active, and hands on to no other one."""

OWN_PATH = "TFKERNELS_KERNEL_PATH"
"""Folders that the active environment puts before those of PATH."""

AT_START: typing.Mapping[str, str] = dict(os.environ)
"""The variables as this process began. What a cell sets is for that kernel and its children, not for other kernels."""


def cleaned(variables: typing.Mapping[str, str], keep: typing.Container[str] = ()) -> typing.Dict[str, str]:
    """``variables`` without what belongs to another Python environment; the names in ``keep`` stay as they are."""
    own = _own(variables)
    return {
        name: value
        for name, value in variables.items()
        if name in keep or not (name in own or _is_foreign(name, value))
    }


def _own(variables: typing.Mapping[str, str]) -> typing.Set[str]:
    return {name for name in variables.get(OWN, "").split(",") if name}


def _is_foreign(name: str, value: str) -> bool:
    if name == "MPLBACKEND":  # a module of one environment (ipykernel sets it), or a name like Agg, which is a wish
        return value.startswith("module://")
    return name in _FOREIGN or name.startswith(_FOREIGN_PREFIXES)


def activate() -> None:
    """Makes this interpreter's environment the active one for ``!pip``, ``!python`` and other children."""
    own = {name for name in os.environ if name.startswith("TFKERNELS_")} | {"JPY_PARENT_PID"} | _own(os.environ)
    kept = cleaned(os.environ, keep=own)
    for name in set(os.environ) - set(kept):
        del os.environ[name]
    os.environ.update(activated(kept, sys.executable, sys.prefix if sys.prefix != sys.base_prefix else None))


def activated(
    variables: typing.Mapping[str, str], python: str, venv: typing.Optional[str] = None
) -> typing.Dict[str, str]:
    """``variables`` with the environment of the interpreter ``python`` as the active one.

    ``venv`` is that environment's folder, if it is a virtual environment.
    """
    active = dict(variables)
    first = [os.path.dirname(python)]
    first += [part for part in active.get(OWN_PATH, "").split(os.pathsep) if part and part not in first]
    rest = [part for part in active.get("PATH", os.defpath).split(os.pathsep) if part not in first]
    active["PATH"] = os.pathsep.join(first + rest)
    cuda = active.get("TFKERNELS_KERNEL_CUDA")
    if cuda and "--xla_gpu_cuda_data_dir" not in active.get("XLA_FLAGS", ""):
        # XLA reads a file of its compiler's, and looks for it in places of its own.
        active["XLA_FLAGS"] = f"{active.get('XLA_FLAGS', '')} --xla_gpu_cuda_data_dir={cuda}".strip()
    if venv is not None:
        active["VIRTUAL_ENV"] = venv
    # Two TensorFlow processes share a GPU only if neither takes all of its memory at once.
    active.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")
    return active
