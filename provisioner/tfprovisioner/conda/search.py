"""Where a user has conda environments; nothing is started to find them."""

import contextlib
import os
from pathlib import Path

_NAMES = ("miniforge3", "mambaforge", "miniconda3", "anaconda3", "miniconda", "anaconda", "conda", "micromamba")
_PREFIXES = ("MAMBA_ROOT_PREFIX", "CONDA_ROOT", "CONDA_PREFIX", "CONDA_PREFIX_1", "CONDA_PREFIX_2")


def environments() -> list[Path]:
    """The conda environments of this user and the bases they come from, each once."""
    home, variables = Path.home(), {name: value for name, value in os.environ.items() if value}
    active = [Path(variables[name]) for name in _PREFIXES if name in variables]
    listed = ""  # by conda itself: every environment that it made, wherever
    with contextlib.suppress(OSError):
        listed = (home / ".conda" / "environments.txt").read_text(encoding="utf-8", errors="replace")
    bases = [
        *(Path(line.strip()) for line in listed.splitlines() if line.strip()),
        *active,
        *(prefix.parent.parent for prefix in active if prefix.parent.name == "envs"),
        *(Path(variables[name]).parent.parent for name in ("CONDA_EXE", "MAMBA_EXE") if name in variables),
        *(parent / name for parent in (home, Path("/opt")) for name in _NAMES),
        home / ".local" / "share" / "mamba",
    ]
    named = (variables.get(name, "").split(os.pathsep) for name in ("CONDA_ENVS_PATH", "CONDA_ENVS_DIRS"))
    collections = [*(Path(part).expanduser() for parts in named for part in parts if part), home / ".conda" / "envs"]
    candidates = [prefix for folder in bases for prefix in [folder, *folders(folder / "envs")]]
    candidates += [prefix for collection in collections for prefix in folders(collection)]
    return list(dict.fromkeys(prefix.resolve() for prefix in candidates if is_environment(prefix)))


def pythons() -> list[Path]:
    """The interpreters in them."""
    candidates = (prefix / "bin" / "python" for prefix in environments())
    return [python for python in candidates if python.is_file()]


def is_environment(folder: Path) -> bool:
    """Whether a folder is an environment of conda, mamba, micromamba, pixi or rattler."""
    return (folder / "conda-meta" / "history").is_file()


def folders(parent: Path) -> list[Path]:
    """The folders in a folder; none if it cannot be read."""
    try:
        return sorted(path for path in parent.iterdir() if path.is_dir())
    except OSError:
        return []
