"""From what a user named to tasks: notebooks read, parameters typed, input files packed. Nothing is executed."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import nbformat

from tfprovisioner.batch import output_dir, remote_paths
from tfprovisioner.batch.execute import workdir
from tfprovisioner.batch.kernel_ref import KernelRef
from tfprovisioner.batch.runs import Run
from tfprovisioner.batch.tasks import Task
from tfprovisioner.errors import Unusable
from tfprovisioner.system.redact import public


class BadSource(Unusable):
    """What was to be run cannot be read, or is no notebook."""


@dataclass(frozen=True)
class Conditions:
    """What all runs of a batch have in common."""

    inputs: Sequence[Path] = ()
    """Files and folders that a run finds in a folder of its own."""
    apart: bool = False
    """Whether each run has a folder of its own, rather than that of its notebook."""
    cell_timeout: float | None = None
    inline: bool = False


@dataclass
class _Notebook:
    """One that is read once for all of its runs."""

    text: str
    folder: Path | None
    """Its own, if it is on this machine."""
    parameters: frozenset[str] = field(default_factory=frozenset)


def tasks(runs: Sequence[Run], wanted: Mapping[str, KernelRef], conditions: Conditions) -> list[Task]:
    """A task for each run. An address in it has no secrets: it gets into outputs and reports. Raises ``BadSource``."""
    notebooks = {source: _notebook(source) for source in dict.fromkeys(run.source for run in runs)}
    packed: dict[Path | None, bytes | None] = {}
    made = []
    for run in runs:
        notebook = notebooks[run.source]
        apart = conditions.apart or bool(conditions.inputs) or notebook.folder is None
        if apart and notebook.folder not in packed:
            packed[notebook.folder] = _packed(conditions.inputs, notebook.folder)
        inputs = packed[notebook.folder] if apart else None
        kernel = asdict(wanted[run.kernel])
        made.append(
            Task(
                replace(run, source=public(run.source)) if remote_paths.is_address(run.source) else run,
                notebook.text,
                output_dir.fingerprint(notebook.text, kernel, run, inputs),
                folder=None if apart else str(notebook.folder),
                inputs=inputs,
                cell_timeout=conditions.cell_timeout,
                inline=conditions.inline,
            )
        )
    return made


def typed(text: str) -> Any:
    """A parameter's value from the command line, as ``papermill -p`` takes it: a number, True, False, None, or text."""
    if text in ("True", "False", "None"):
        return {"True": True, "False": False, "None": None}[text]
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def parameters(items: Sequence[str]) -> dict[str, Any]:
    """``lr=0.1`` as ``{"lr": 0.1}``. Raises ``ValueError`` with what is wrong."""
    found: dict[str, Any] = {}
    for item in items:
        name, _, value = item.partition("=")
        if not name.isidentifier():
            raise ValueError(f"{name!r} is no name of a parameter")
        found[name] = typed(value)
    return found


def grid(items: Sequence[str]) -> dict[str, list[Any]]:
    """``lr=0.1,0.01`` as ``{"lr": [0.1, 0.01]}``. Raises ``ValueError`` with what is wrong."""
    found: dict[str, list[Any]] = {}
    for item in items:
        name, equals, values = item.partition("=")
        if not equals or not name.isidentifier() or not values:
            raise ValueError(f"{item!r} is not of the form NAME=VALUE,VALUE")
        if name in found:
            raise ValueError(f"{name} is there twice")
        found[name] = [typed(value) for value in values.split(",")]
    return found


def size(text: str) -> int:
    """``1.5GB``, ``800 MB``, or a number of bytes. Raises ``ValueError`` with what is wrong."""
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*(?:([kMGT]?)i?B)?\s*", text, re.IGNORECASE)
    if match is None:
        raise ValueError(f"{text!r} is not a size like 2GB or 800MB")
    return int(float(match[1]) * 1000 ** " kmgt".index((match[2] or " ").lower()))


def unknown_parameters(loaded: Sequence[Task]) -> dict[str, list[str]]:
    """By source, the parameters that its notebook does not mention: they are set, and nothing reads them."""
    first = {task.run.source: task for task in reversed(loaded)}  # its other runs have the same
    found = {
        source: [name for name in task.run.parameters if not re.search(rf"\b{re.escape(name)}\b", _code(task.notebook))]
        for source, task in first.items()
    }
    return {source: names for source, names in found.items() if names}


def _code(notebook: str) -> str:
    return "\n".join(cell.source for cell in nbformat.reads(notebook, as_version=4).cells if cell.cell_type == "code")


def _notebook(source: str) -> _Notebook:
    text = remote_paths.read(source) if remote_paths.is_address(source) else _text(Path(source))
    try:
        nbformat.reads(text, as_version=4)
    except Exception as error:  # it may hold anything
        raise BadSource(f"{source} is not a notebook: {error}") from error
    return _Notebook(text, None if remote_paths.is_address(source) else Path(source).resolve().parent)


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise BadSource(f"The notebook {path} cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise BadSource(f"{path} is not a notebook: {error}") from error


def _packed(inputs: Sequence[Path], beside: Path | None) -> bytes | None:
    """In the run's folder a file is where it is beside the notebook, or, if it is elsewhere, under its name alone."""
    if not inputs:
        return None
    places = {}
    for path in inputs:
        full = path.resolve()
        below = beside is not None and full.is_relative_to(beside) and full != beside
        places[full] = full.relative_to(beside).as_posix() if below and beside is not None else full.name
    try:
        return workdir.pack(places)
    except OSError as error:
        raise BadSource(f"The input {error.filename} cannot be read: {error.strerror}.") from error
