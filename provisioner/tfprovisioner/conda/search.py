"""Where a user has conda environments; nothing is started to find them."""

import os
from collections.abc import Iterator
from pathlib import Path

_NAMES = ("miniforge3", "mambaforge", "miniconda3", "anaconda3", "miniconda", "anaconda", "conda", "micromamba")


def environments() -> list[Path]:
    """The conda environments of this user and the bases they come from, each once."""
    found: dict[Path, None] = {}
    for folder in [*_listed(), *_roots()]:
        for prefix in [folder, *_folders(folder / "envs")]:
            if is_environment(prefix):
                found.setdefault(prefix.resolve())
    for envs in _envs_folders():
        found.update(dict.fromkeys(prefix.resolve() for prefix in _folders(envs) if is_environment(prefix)))
    return list(found)


def pythons() -> list[Path]:
    """The interpreters in them."""
    candidates = (python_in(prefix) for prefix in environments())
    return [python for python in candidates if python.is_file()]


def is_environment(folder: Path) -> bool:
    """Whether a folder is what conda, mamba, micromamba, pixi or rattler take for an environment."""
    return (folder / "conda-meta" / "history").is_file()


def python_in(prefix: Path) -> Path:
    return prefix / "python.exe" if os.name == "nt" else prefix / "bin" / "python"


def prefix_of(python: Path) -> Path:
    """The environment that an interpreter is in."""
    return python.parent if os.name == "nt" else python.parent.parent


def _listed() -> Iterator[Path]:
    """What conda itself wrote down: every environment that it made, wherever."""
    try:
        text = (Path.home() / ".conda" / "environments.txt").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return
    yield from (Path(line.strip()) for line in text.splitlines() if line.strip())


def _roots() -> Iterator[Path]:
    for name in ("MAMBA_ROOT_PREFIX", "CONDA_ROOT", "CONDA_PREFIX", "CONDA_PREFIX_1", "CONDA_PREFIX_2"):
        prefix = os.environ.get(name)
        if prefix:
            yield Path(prefix)
            if Path(prefix).parent.name == "envs":
                yield Path(prefix).parent.parent
    for name in ("CONDA_EXE", "MAMBA_EXE"):
        program = os.environ.get(name)
        if program:
            yield Path(program).parent.parent
    for parent in (Path.home(), Path("/opt")):
        yield from (parent / name for name in _NAMES)
    yield Path.home() / ".local" / "share" / "mamba"


def _envs_folders() -> Iterator[Path]:
    for name in ("CONDA_ENVS_PATH", "CONDA_ENVS_DIRS"):
        for part in os.environ.get(name, "").split(os.pathsep):
            if part:
                yield Path(part).expanduser()
    yield Path.home() / ".conda" / "envs"


def _folders(parent: Path) -> list[Path]:
    try:
        return sorted(path for path in parent.iterdir() if path.is_dir())
    except OSError:
        return []
