"""The folder that a batch writes to. A run's file appears there whole, when the run has ended, or not at all."""

import hashlib
import json
import shutil
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nbformat
from nbformat import NotebookNode

from tfprovisioner.batch import recorded
from tfprovisioner.batch.execute.workdir import unpack
from tfprovisioner.batch.outcomes import FAILED, METADATA, PASSED, Failure, Outcome
from tfprovisioner.batch.recorded import Record
from tfprovisioner.batch.runs import Run
from tfprovisioner.batch.tasks import Executed
from tfprovisioner.errors import ProvisionError, Unusable
from tfprovisioner.system.files import replace_bytes, replace_text


@dataclass(frozen=True)
class Found:
    """A run that has ended, as its files say."""

    outcome: Outcome
    path: Path
    """The executed notebook, or a script's outcome."""
    records: list[Record]


class OutputTaken(Unusable):
    """The folder has something in it that is not to be touched."""


def fingerprint(notebook: str, kernel: Mapping[str, Any], run: Run, inputs: bytes | None) -> str:
    """Equal for runs that would do the same. ``kernel`` is what decides on its environment; outputs do not count."""
    cells = [
        (cell.cell_type, cell.source, cell.metadata.get("tags", []))  # a tag says where the parameters go
        for cell in nbformat.reads(notebook, as_version=4).cells
    ]
    decided = [cells, kernel, dict(run.parameters), hashlib.sha256(inputs or b"").hexdigest()]
    return hashlib.sha256(json.dumps(decided, sort_keys=True).encode()).hexdigest()


def prepare(folder: Path, resume: bool) -> None:
    """Makes the folder. Raises ``OutputTaken`` if it has anything in it, unless an earlier batch is to be resumed."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        taken = any(folder.iterdir())
    except OSError as error:
        raise OutputTaken(
            f"The folder {folder} cannot be used for what comes out: {error.strerror}. Choose another "
            f"one with --output."
        ) from error
    if taken and not resume:
        raise OutputTaken(
            f"The folder {folder} is not empty, and nothing in it will be overwritten. Choose another one with "
            f"--output, or go on with the batch in it with --resume."
        )


def write(folder: Path, executed: Executed) -> Path:
    """Puts a run's files into the folder, and its notebook when they are there. What an earlier try of it left goes.

    Returns the notebook's path. Raises ``ProvisionError``.
    """
    name = executed.outcome.run.name
    path = folder / f"{name}.ipynb"
    try:
        for digest, content in executed.values.items():
            (folder / f"{name}.values").mkdir(exist_ok=True)
            replace_bytes(folder / f"{name}.values" / digest, content)
        if (folder / f"{name}.files").exists():
            shutil.rmtree(folder / f"{name}.files")
        if executed.files is not None:
            unpack(executed.files, folder / f"{name}.files")
        replace_text(path, executed.notebook)
        _keep_only(executed.values, folder / f"{name}.values")
    except OSError as error:
        raise ProvisionError(
            f"What came of {name} could not be written to {folder}: {error.strerror}. Free some space or make the "
            f"folder writable, and run the rest with --resume."
        ) from error
    return path


def _keep_only(names: Collection[str], folder: Path) -> None:
    """Removes the values of an earlier try of a run, and the folder if nothing is left in it."""
    for path in folder.iterdir() if folder.is_dir() else ():
        if path.name not in names:
            path.unlink()
    if folder.is_dir() and not names:
        folder.rmdir()


def read(folder: Path) -> list[Found]:
    """The runs that have ended, in the order of their names; plain papermill's outputs, too."""
    found = (_notebook(path) if path.suffix == ".ipynb" else _script(path) for path in sorted(_files(folder)))
    return [each for each in found if each is not None]


def _files(folder: Path) -> Iterator[Path]:
    try:
        yield from (path for path in folder.iterdir() if path.suffix in (".ipynb", ".json") and path.is_file())
    except OSError as error:
        raise ProvisionError(f"The folder {folder} cannot be read: {error.strerror}.") from error


def _notebook(path: Path) -> Found | None:
    try:
        notebook = nbformat.reads(path.read_text(encoding="utf-8"), as_version=4)
        outcome = _outcome(notebook.metadata) or _of_papermill(path, notebook)
    except Exception:  # noqa: BLE001 (a file in somebody's folder may hold anything)
        return None
    return Found(outcome, path, recorded.of_notebook(notebook, path.with_suffix(".values"))) if outcome else None


def _script(path: Path) -> Found | None:
    try:
        outcome = Outcome.from_json(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError, KeyError):
        return None  # the report, or something else
    return Found(outcome, path, recorded.of_script(path.with_suffix(".values")))


def _outcome(metadata: NotebookNode) -> Outcome | None:
    try:
        return Outcome.from_json(metadata[METADATA])
    except (TypeError, KeyError):
        return None


def _of_papermill(path: Path, notebook: NotebookNode) -> Outcome | None:
    """What plain papermill wrote down; ``None`` for a notebook that it did not execute."""
    done = notebook.metadata.get("papermill", {})
    if not done.get("start_time"):
        return None
    described = notebook.metadata.get("language_info", {}).get("tfkernels", {})
    kernel = described.get("kernel") or notebook.metadata.get("kernelspec", {}).get("name", "")
    failure = _first_error(notebook) if done.get("exception") else None
    return Outcome(
        Run(path.stem, str(done.get("input_path") or path.name), kernel, dict(done.get("parameters", {}))),
        FAILED if failure else PASSED,
        "",
        tensorflow=described.get("tensorflow", ""),
        python=notebook.metadata.get("language_info", {}).get("version", ""),
        started=done["start_time"],
        seconds=float(done.get("duration") or 0.0),
        failure=failure,
    )


def _first_error(notebook: NotebookNode) -> Failure:
    for position, cell in enumerate(notebook.cells):
        for output in cell.get("outputs", ()):
            if output.output_type == "error":
                return Failure(output.ename, output.evalue, position, "\n".join(output.traceback))
    return Failure("Unknown", "papermill says that the notebook failed, and no cell of it says why")
