"""Where a user has conda environments; nothing is started to find them."""

import os
from collections.abc import Iterator
from pathlib import Path

_NAMES = ("miniforge3", "mambaforge", "miniconda3", "anaconda3", "miniconda", "anaconda", "conda", "micromamba")


def environments() -> list[Path]:
    """The conda environments of this user and the bases they come from, each once."""
    bases = [*_listed(), *_roots()]
    candidates = [prefix for folder in bases for prefix in [folder, *folders(folder / "envs")]]
    candidates += [prefix for collection in _collections() for prefix in folders(collection)]
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


def _listed() -> Iterator[Path]:
    """The list that conda itself keeps: every environment that it made, wherever."""
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


def _collections() -> Iterator[Path]:
    for name in ("CONDA_ENVS_PATH", "CONDA_ENVS_DIRS"):
        yield from (Path(part).expanduser() for part in os.environ.get(name, "").split(os.pathsep) if part)
    yield Path.home() / ".conda" / "envs"
