"""What a batch runs: a run for each notebook, kernel and set of parameters, and all that a worker needs for it."""

import functools
import hashlib
import itertools
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Any

import nbformat
from nbformat import NotebookNode

from tfprovisioner.batch import remote_paths, workdir
from tfprovisioner.batch.kernel_ref import KernelRef
from tfprovisioner.errors import Unusable
from tfprovisioner.system.redact import public


class BadSource(Unusable):
    """A notebook, script or input file cannot be read, or is no notebook."""


@dataclass(frozen=True)
class Run:
    """One notebook, or script, on one kernel with one set of parameters."""

    name: str
    """Unique in the batch; its files have this name: ``train-tf1``, ``train-tf1-lr=0.1``."""
    source: str
    """The notebook or script as the user named it: a path, or an address that papermill reads."""
    kernel: str
    parameters: Mapping[str, Any] = field(default_factory=dict)
    """papermill's parameters: plain values that JSON has."""

    @property
    def case(self) -> str:
        """The source and the parameters as text. Runs of one case are compared with each other."""
        # Sorted, as nbformat sorts a notebook's metadata: the case is the same before and after the run.
        chosen = ", ".join(f"{name}={_as_text(value)}" for name, value in sorted(self.parameters.items()))
        return f"{self.source} ({chosen})" if chosen else self.source

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class Task:
    """A run with all that it needs, except the kernel's environment. Plain data: it travels to other machines."""

    run: Run
    notebook: str
    """The input notebook: its JSON, without parameters."""
    fingerprint: str
    folder: str | None = None
    """The working folder; ``None`` is a fresh private folder, made on the machine that executes the run."""
    inputs: bytes | None = None
    """A zip archive, unpacked into that fresh folder."""
    cell_timeout: float | None = None
    """Seconds for one cell."""
    kernel_timeout: float = 180.0
    """Seconds for the start of the kernel."""
    check: str | None = None
    """An expression that the kernel evaluates after the last cell."""
    attempt: int = 1
    """More than 1 after workers died."""
    inline: bool = False
    """Recorded values stay inside the notebook, however large: no files can be written beside it."""


@dataclass(frozen=True)
class Conditions:
    """What all runs of a batch have in common."""

    inputs: Sequence[Path] = ()
    """Files and folders that each run gets a copy of, in a fresh folder."""
    apart: bool = False
    """Each run has a fresh folder, rather than its notebook's."""
    cell_timeout: float | None = None
    inline: bool = False


def expand(
    sources: Sequence[str],
    kernels: Sequence[str],
    parameters: Mapping[str, Any] | None = None,
    grid: Mapping[str, Sequence[Any]] | None = None,
) -> list[Run]:
    """Every source on every kernel with every combination of the grid's values; the runs of a kernel together.

    A source or kernel that is named twice runs once.
    """
    grid = grid or {}
    runs: list[Run] = []
    taken: set[str] = set()
    for kernel in dict.fromkeys(kernels):
        for source, (*folders, file) in shorten(sources).items():
            for values in itertools.product(*grid.values()):
                chosen = dict(zip(grid, values, strict=True))
                stem = "-".join([*folders, PurePosixPath(file).stem, kernel])
                name = "-".join([stem, *(f"{name}={_as_text(value)}" for name, value in chosen.items())])
                runs.append(Run(_free_name(name, taken), source, kernel, {**(parameters or {}), **chosen}))
    return runs


def load(runs: Sequence[Run], kernels: Mapping[str, KernelRef], conditions: Conditions) -> list[Task]:
    """A task for each run. Addresses in it have no secrets: they get into outputs and reports. Raises ``BadSource``."""
    read, packed = functools.cache(_read), functools.cache(functools.partial(_pack, conditions.inputs))
    tasks = []
    for run in runs:
        text, folder = read(run.source)
        apart = conditions.apart or bool(conditions.inputs) or folder is None
        inputs = packed(folder) if apart else None
        tasks.append(
            Task(
                replace(run, source=public(run.source)) if remote_paths.is_address(run.source) else run,
                text,
                fingerprint(text, asdict(kernels[run.kernel]), run, inputs),
                folder=None if apart else str(folder),
                inputs=inputs,
                cell_timeout=conditions.cell_timeout,
                inline=conditions.inline,
            )
        )
    return tasks


def fingerprint(notebook: str, kernel: Mapping[str, Any], run: Run, inputs: bytes | None) -> str:
    """Equal for runs that would do the same. ``kernel`` is a ``KernelRef`` as a dict; outputs do not count."""
    # A tag says where the parameters go.
    cells = [(cell.cell_type, cell.source, cell.metadata.get("tags", [])) for cell in _cells(notebook)]
    decisive = [cells, kernel, dict(run.parameters), hashlib.sha256(inputs or b"").hexdigest()]
    return hashlib.sha256(json.dumps(decisive, sort_keys=True).encode()).hexdigest()


def unknown_parameters(tasks: Sequence[Task]) -> dict[str, list[str]]:
    """By source, the parameters that its notebook does not mention: papermill sets them, and nothing reads them."""
    found = {}
    for task in tasks:  # the runs of one source have the same
        code = "\n".join(cell.source for cell in _cells(task.notebook) if cell.cell_type == "code")
        names = [name for name in task.run.parameters if not re.search(rf"\b{re.escape(name)}\b", code)]
        if names:
            found[task.run.source] = names
    return found


@functools.lru_cache
def _cells(notebook: str) -> list[NotebookNode]:
    """All runs of a notebook have the same text."""
    return list(nbformat.reads(notebook, as_version=4).cells)


def shorten(paths: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """The last parts of each path, as many as distinguish it from the others. Never an address's credentials."""
    parts = {path: _parts(path) for path in paths}
    short = {}
    for path, own in parts.items():
        others = [other for other in parts.values() if other != own]
        length = next((n for n in range(1, len(own)) if not any(o[-n:] == own[-n:] for o in others)), len(own))
        short[path] = own[-length:]
    return short


def _parts(path: str) -> tuple[str, ...]:
    if re.match(r"[a-z0-9]+://", path):
        path = re.sub(r"^[a-z0-9]+://(?:[^/]*@)?", "", path).partition("?")[0]
    parts = PurePosixPath(path.replace("\\", "/")).parts
    return tuple(part for part in parts if part not in ("/", ".", "..")) or ("run",)


def _free_name(name: str, taken: set[str]) -> str:
    """A new file name of at most 120 characters, valid on every system."""
    safe = re.sub(r"[^\w.=+-]+", "_", name, flags=re.ASCII)[:110].strip("._") or "run"
    numbered = itertools.chain([safe], (f"{safe}-{number}" for number in itertools.count(2)))
    free = next(each for each in numbered if each.lower() not in taken)
    taken.add(free.lower())
    return free


def _as_text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _read(source: str) -> tuple[str, Path | None]:
    """A notebook's text and, if it is on this machine, its folder."""
    remote = remote_paths.is_address(source)
    try:
        text = remote_paths.read(source) if remote else Path(source).read_text(encoding="utf-8")
    except OSError as error:
        raise BadSource(f"Cannot read the notebook {source}: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise BadSource(f"{source} is not a notebook: {error}.") from error
    try:
        nbformat.reads(text, as_version=4)
    except Exception as error:  # nbformat raises whatever the content provokes
        raise BadSource(f"{source} is not a notebook: {error}") from error
    return text, None if remote else Path(source).resolve().parent


def _pack(inputs: Sequence[Path], beside: Path | None) -> bytes | None:
    """A file below the notebook's folder ``beside`` keeps its relative path; any other one has its name alone."""
    if not inputs:
        return None
    places = {}
    for full in (path.resolve() for path in inputs):
        below = beside is not None and full != beside and full.is_relative_to(beside)
        places[full] = full.relative_to(beside).as_posix() if beside is not None and below else full.name
    try:
        return workdir.pack(places)
    except OSError as error:
        raise BadSource(f"Cannot read the input {error.filename}: {error.strerror}.") from error
