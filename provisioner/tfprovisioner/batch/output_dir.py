"""The folder of a batch's files, and the address that they are copied to if the user gave one.

A run's notebook appears there whole, when the run has ended, or not at all.
"""

import fcntl
import json
import os
import shlex
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import nbformat
from nbformat import NotebookNode

from tfprovisioner.batch import recorded, remote_paths
from tfprovisioner.batch.outcomes import FAILED, OUTCOME, PASSED, Executed, Failure, Outcome
from tfprovisioner.batch.recorded import Record
from tfprovisioner.batch.tasks import Run
from tfprovisioner.batch.workdir import private_folder, unpack
from tfprovisioner.errors import ProvisionError, Unusable
from tfprovisioner.notebook_metadata.notebook_file import KEY
from tfprovisioner.system.files import replace_bytes, replace_text
from tfprovisioner.system.redact import public


class OutputTaken(Unusable):
    """The output folder is in use, or holds files that must stay."""


@dataclass(frozen=True)
class Found:
    """A run that has ended, as its files say."""

    outcome: Outcome
    path: Path
    """The executed notebook, or a script's outcome."""
    records: list[Record]
    failed_cell: str = ""
    """The source of the cell that raised."""


def default_folder() -> Path:
    """The folder of a batch without ``--output``."""
    return Path("tfkernels-runs") / datetime.now().astimezone().strftime("%Y-%m-%d-%H%M%S")


@dataclass(frozen=True)
class Destination:
    """The folder that everything is written to and, perhaps, an address that gets a copy."""

    folder: Path
    address: str = ""
    local: Path = field(default_factory=default_folder)
    """Gets the files that the address does not take."""

    @property
    def resume_options(self) -> str:
        """The options that continue this batch."""
        return "--resume" if self.address else f"--resume --output {shlex.quote(str(self.folder))}"

    def publish(self, path: Path, say: Callable[[str], None]) -> str:
        """Copies a file of the folder to the address. Returns where the user finds it; ``say`` gets any trouble.

        The ``.files`` folder of a run stays on this machine: papermill's writers take text only.
        """
        if not self.address:
            return str(path)
        files = path.with_suffix(".files")
        if path.suffix == ".ipynb" and files.is_dir():
            shutil.copytree(files, self.local / files.name)
            say(f"The address takes no files of {path.stem}. They are in {self.local / files.name}")
        address = remote_paths.join(self.address, path.name)
        try:
            remote_paths.write(address, path.read_text(encoding="utf-8"))
        except remote_paths.AddressFailed as error:
            self.local.mkdir(parents=True, exist_ok=True)
            kept = shutil.copy(path, self.local)
            say(f"{error} The file is here instead: {kept}")
            return str(kept)
        return public(address)


@contextmanager
def opened(target: str | None, resume: bool, runs: Sequence[Run]) -> Iterator[Destination]:
    """The user's folder, locked against other batches as long as this process lives. Raises ``OutputTaken``.

    A private one without ``target``, and for an address; the latter with the runs to resume.
    """
    if target is None or remote_paths.is_address(target):
        with private_folder() as folder:
            for name in (f"{run.name}.ipynb" for run in runs if resume and target):
                with suppress(remote_paths.AddressFailed):  # it has not run
                    (folder / name).write_text(remote_paths.read(remote_paths.join(str(target), name)), "utf-8")
            yield Destination(folder, target or "")
        return
    folder = Path(target)
    prepare(folder, resume)
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise OutputTaken(
                f"Another batch writes to {folder}. Wait until it has ended, or choose another folder with --output."
            ) from None
        except OSError:
            pass  # a file system without locks
        yield Destination(folder)
    finally:
        os.close(descriptor)
        with suppress(OSError):
            folder.rmdir()  # if it is empty


def prepare(folder: Path, resume: bool) -> None:
    """Makes the folder. Raises ``OutputTaken`` if it has anything in it, unless an earlier batch is resumed."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        taken = any(folder.iterdir())
    except OSError as error:
        raise OutputTaken(
            f"Cannot use the output folder {folder}: {error.strerror}. Choose another one with --output."
        ) from error
    if taken and not resume:
        raise OutputTaken(
            f"The output folder {folder} is not empty, and tfkernels does not overwrite files. Choose another one with "
            f"--output, or continue the batch in it with --resume."
        )


def write(folder: Path, executed: Executed) -> Found:
    """Writes a run's files, its notebook last, and deletes those of an earlier attempt. Raises ``ProvisionError``."""
    name = executed.outcome.run.name
    path, values, files = (folder / f"{name}{suffix}" for suffix in (".ipynb", ".values", ".files"))
    try:
        path.unlink(missing_ok=True)
        for earlier in filter(Path.is_dir, (values, files)):
            shutil.rmtree(earlier)
        if executed.values:
            values.mkdir()
        for digest, content in executed.values.items():
            replace_bytes(values / digest, content)
        if executed.files is not None:
            unpack(executed.files, files)
        replace_text(path, executed.notebook)
    except OSError as error:
        raise ProvisionError(
            f"Cannot write the files of {name} to {folder}: {error.strerror}. Free some space or make the folder "
            f"writable, and run the rest with --resume."
        ) from error
    return _of_notebook(path, nbformat.reads(executed.notebook, as_version=4), executed.outcome)


def ended(folder: Path, runs: Sequence[Run]) -> dict[str, Found]:
    """Those of ``runs`` that have ended, by name and in their order."""
    there = {found.outcome.run.name: found for found in read(folder)}
    return {run.name: there[run.name] for run in runs if run.name in there}


def repeats(found: Found | None, fingerprint: str) -> bool:
    """Whether a run with this fingerprint would give again what was found."""
    return found is not None and found.outcome.passed and found.outcome.fingerprint == fingerprint


def read(folder: Path) -> list[Found]:
    """The runs that have ended, in the order of their names; plain papermill's outputs, too."""
    readers = {".ipynb": _read_notebook, ".json": _read_script}
    try:
        paths = sorted(path for path in folder.iterdir() if path.suffix in readers and path.is_file())
    except OSError as error:
        raise ProvisionError(f"Cannot read the folder {folder}: {error.strerror}.") from error
    found = (readers[path.suffix](path) for path in paths)
    return [each for each in found if each is not None]


def _read_notebook(path: Path) -> Found | None:
    try:
        notebook = nbformat.reads(path.read_text(encoding="utf-8"), as_version=4)
        try:
            outcome: Outcome | None = Outcome.from_json(notebook.metadata[KEY][OUTCOME])
        except (TypeError, KeyError):
            outcome = _of_papermill(path, notebook)
    except Exception:  # noqa: BLE001 (a file in somebody's folder may hold anything)
        return None
    return None if outcome is None else _of_notebook(path, notebook, outcome)


def _of_notebook(path: Path, notebook: NotebookNode, outcome: Outcome) -> Found:
    cell = outcome.failure.cell if outcome.failure else None
    source = notebook.cells[cell].source if cell is not None and 0 <= cell < len(notebook.cells) else ""
    return Found(outcome, path, recorded.of_notebook(notebook, path.with_suffix(".values")), source)


def _read_script(path: Path) -> Found | None:
    try:
        outcome = Outcome.from_json(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError, KeyError):
        return None  # the report, or another file
    return Found(outcome, path, recorded.of_script(path.with_suffix(".values")))


def _of_papermill(path: Path, notebook: NotebookNode) -> Outcome | None:
    """The outcome from plain papermill's metadata; ``None`` if papermill did not execute the notebook."""
    done = notebook.metadata.get("papermill", {})
    if not done.get("start_time"):
        return None
    language = notebook.metadata.get("language_info", {})
    described = language.get("tfkernels", {})
    kernel = described.get("kernel") or notebook.metadata.get("kernelspec", {}).get("name", "")
    failure = _first_error(notebook) if done.get("exception") else None
    return Outcome(
        Run(path.stem, str(done.get("input_path") or path.name), kernel, dict(done.get("parameters", {}))),
        FAILED if failure else PASSED,
        "",
        tensorflow=described.get("tensorflow", ""),
        python=language.get("version", ""),
        started=done["start_time"],
        seconds=float(done.get("duration") or 0.0),
        failure=failure,
    )


def _first_error(notebook: NotebookNode) -> Failure:
    for position, cell in enumerate(notebook.cells):
        for output in cell.get("outputs", ()):
            if output.output_type == "error":
                return Failure(output.ename, output.evalue, position, "\n".join(output.traceback))
    return Failure("Unknown", "papermill says that the notebook failed, but no cell has an error")
