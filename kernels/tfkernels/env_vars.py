"""Environment variables: those that users set in one table, and those that a kernel's process may see.

Those that tfkernels sets for its own processes are in docs/reference/settings.md.
"""

import json
import os
import re
import sys
import typing

from tfkernels import start_notes

HOME = "TFKERNELS_HOME"
POOL = "TFKERNELS_POOL"
LOG = "TFKERNELS_LOG"
KERNEL = "TFKERNELS_KERNEL"
CUDA = "TFKERNELS_KERNEL_CUDA"
OWN = "TFKERNELS_KERNEL_OWN"
OWN_PATH = "TFKERNELS_KERNEL_PATH"
MISSING = "TFKERNELS_KERNEL_MISSING"
FOLDER = "TFKERNELS_FOLDER"
PARENT = "JPY_PARENT_PID"
"""Jupyter sets it for its kernels: the process that started them. Their commands get it, too."""


class Setting(typing.NamedTuple):
    """One environment variable of tfkernels."""

    name: str
    meaning: str
    default: str = ""
    """What holds without it, in words."""


SETTINGS = (
    Setting(HOME, "The data folder: environments, Pythons from conda-forge, locks.", "the user's data folder"),
    Setting("TFKERNELS_CHANNELS", "Channels of conda packages, with commas between.", "conda-forge"),
    Setting("TFKERNELS_CONDA_EXE", "The conda, mamba or micromamba that builds conda environments.", "none is needed"),
    Setting(POOL, "Shared memory that is kept for the next values, such as 2GB or 512MiB; 0 keeps none.", "a quarter"),
    Setting("TFKERNELS_POOL_IDLE", "Seconds after which unused shared memory is freed.", "60"),
    Setting("TFKERNELS_START", "Kernels that start when the magics are loaded, with commas between.", "none"),
    Setting(
        start_notes.VERBOSE,
        "If it is set: the notes of TensorFlow and ipykernel at each start of a kernel.",
        "warnings and errors only",
    ),
    Setting(LOG, "The log level: debug, info or warning. The log goes to a file, and to stderr of commands.", "no log"),
)
"""The variables that users set. ``%tfkernels settings`` and docs/reference/settings.md show this table."""


def current() -> typing.List[typing.Tuple[str, str, str, str]]:
    """Name, value, meaning and origin (``set`` or ``default``) of each setting, as it is in this process."""
    found = []
    for name, meaning, default in SETTINGS:
        value = os.environ.get(name)
        found.append((name, value or default, meaning, "set" if value else "default"))
    return found


def parse_size(text: str) -> int:
    """Bytes, from ``2GB`` (decimal, as ``2G``), ``1.5 GiB`` (binary) or ``1000``. Raises ``ValueError``."""
    found = re.fullmatch(r"\s*(\d+(?:\.\d*)?)\s*(?:([kmgt])(i?))?b?\s*", text.lower())
    if found is None:
        raise ValueError(f"{text!r} is not a size. Write one like 2GB, 512MiB or 0.")
    number, letter, binary = found.groups()
    return int(float(number) * (1024 if binary else 1000) ** " kmgt".index(letter or " "))


_OF_ONE_PROCESS = frozenset({PARENT, "COVERAGE_PROCESS_START", "COVERAGE_PROCESS_CONFIG"})
_OF_ONE_PROCESS_PREFIXES = ("COV_CORE_", KERNEL, FOLDER)
"""What one kernel was told at its start, and what measures its process. No other kernel gets these."""

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
        # What another Python may lack, and then does not start
        "PYTHONMALLOC",
        "PYTHONPLATLIBDIR",
        "PYTHON_GIL",
        # Libraries of the server's environment; a kernel's own are found without it
        "LD_LIBRARY_PATH",
        "LD_PRELOAD",
        "LD_AUDIT",
        "DYLD_LIBRARY_PATH",
        "DYLD_INSERT_LIBRARIES",
    }
)
_FOREIGN_PREFIXES = ("CONDA_", "_CONDA_")
"""What belongs to another Python environment. No kernel of ours gets these."""

AT_START: typing.Mapping[str, str] = dict(os.environ)
"""The variables as this process began. What a cell sets is for that kernel and its children, not for other kernels."""


_before_cells: typing.Mapping[str, str] = AT_START
"""The variables when ``activate`` was done. What is different by now was set by cells."""


def of_client(variables: typing.Mapping[str, str]) -> typing.Dict[str, str]:
    """The variables of the program that started this kernel, from those that this kernel got."""
    own = variables.get(OWN, "").split(",")
    kept = {name: value for name, value in variables.items() if name not in own and not _is_of_one_process(name, value)}
    return {**kept, **json.loads(variables.get(MISSING, "{}"))}


def of_command() -> typing.Dict[str, str]:
    """The variables for a command of the client's Python: those of the client, with what cells set and deleted.

    What they set for this kernel's Python, such as ``PYTHONPATH``, is not for the command.
    """
    deleted = _before_cells.keys() - os.environ.keys()
    kept = {name: value for name, value in of_client(AT_START).items() if name not in deleted}
    changed = {name: value for name, value in os.environ.items() if _before_cells.get(name) != value}
    return {**kept, **cleaned(changed)}


def cleaned(variables: typing.Mapping[str, str]) -> typing.Dict[str, str]:
    """``variables`` of a client without what belongs to another Python environment."""
    return {name: value for name, value in of_client(variables).items() if not _is_foreign(name, value)}


def for_kernel(variables: typing.Mapping[str, str], own: typing.Mapping[str, str]) -> typing.Dict[str, str]:
    """``variables`` of a client for a kernel of ours, with the kernel's ``own``.

    What the client had and the kernel lacks is noted, for the kernels of other programs that this one starts.
    """
    given = {**cleaned(variables), **own}
    missing = {name: value for name, value in of_client(variables).items() if given.get(name) != value}
    return {**given, MISSING: json.dumps(missing)}


def _is_of_one_process(name: str, value: str) -> bool:
    if name == "TF2_BEHAVIOR":  # TensorFlow 2 sets 1 when it is imported, and TensorFlow 1 then lacks its sessions
        return value == "1"
    if name == "MPLBACKEND":  # a module that ipykernel sets, or a name like Agg, which is a wish
        return value.startswith("module://")
    return name in _OF_ONE_PROCESS or name.startswith(_OF_ONE_PROCESS_PREFIXES)


def _is_foreign(name: str, value: str) -> bool:
    if name == "PYTHONBREAKPOINT":  # a function of one environment, or 0, which is a wish
        return value != "0"
    return name in _FOREIGN or name.startswith(_FOREIGN_PREFIXES)


def activate() -> None:
    """Makes this interpreter's environment the active one for ``!pip``, ``!python`` and other children."""
    global _before_cells
    own = {name for name in os.environ.get(OWN, "").split(",") if os.environ.get(name)}
    told = {name for name in os.environ if name.startswith("TFKERNELS_") or name == PARENT}
    for name, value in list(os.environ.items()):
        if name not in own | told and (_is_of_one_process(name, value) or _is_foreign(name, value)):
            del os.environ[name]
    venv = sys.prefix if sys.prefix != sys.base_prefix else None
    os.environ.update(activated(os.environ, sys.executable, venv))
    _before_cells = dict(os.environ)


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
    cuda = active.get(CUDA)
    if cuda and "--xla_gpu_cuda_data_dir" not in active.get("XLA_FLAGS", ""):
        # XLA reads a file of its compiler's, and looks for it in places of its own.
        active["XLA_FLAGS"] = f"{active.get('XLA_FLAGS', '')} --xla_gpu_cuda_data_dir={cuda}".strip()
    if venv is not None:
        active["VIRTUAL_ENV"] = venv
    # Two TensorFlow processes share a GPU only if neither takes all of its memory at once.
    active.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")
    if start_notes.dropped(active):
        active.setdefault(start_notes.LEVEL, start_notes.DEFAULT_LEVEL)
    return active
