"""Where the files of a batch go: a folder; or an address, and then what that does not take goes to a folder, too."""

import fcntl
import os
import shlex
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path

from tfprovisioner.batch import output_dir, remote_paths
from tfprovisioner.batch.output_dir import OutputTaken
from tfprovisioner.batch.runs import Run
from tfprovisioner.system.redact import public


def default() -> Path:
    """The folder for a batch without ``--output``."""
    return Path("tfkernels-runs") / datetime.now().astimezone().strftime("%Y-%m-%d-%H%M%S")


class Destination:
    """A folder that everything is written to and, perhaps, an address that it is copied to from there."""

    def __init__(self, folder: Path, address: str = "") -> None:
        self.folder = folder
        self._address = address
        self._instead = default()

    @property
    def again(self) -> str:
        """The options that go on with this batch."""
        return "--resume" if self._address else f"--resume --output {shlex.quote(str(self.folder))}"

    def put(self, path: Path, say: Callable[[str], None]) -> str:
        """A file of the folder is there now. Returns where the user finds it; says so if that is not where it should.

        With an executed notebook goes what its run wrote into a folder of its own: papermill's writers take no such
        files, so for an address these stay on this machine.
        """
        if not self._address:
            return str(path)
        files = path.with_suffix(".files")
        if path.suffix == ".ipynb" and files.is_dir():
            say(f"What {path.stem} wrote is here, an address does not take it: {self._keep(files)}")
        try:
            remote_paths.publish(path, self._address)
        except remote_paths.AddressFailed as error:
            kept = self._keep(path)
            say(f"{error} It is here instead: {kept}")
            return str(kept)
        return public(remote_paths.below(self._address, path.name))

    def _keep(self, path: Path) -> Path:
        self._instead.mkdir(parents=True, exist_ok=True)
        kept = self._instead / path.name
        if path.is_dir():
            shutil.copytree(path, kept)
        else:
            shutil.copy(path, kept)
        return kept


@contextmanager
def opened(target: str, resume: bool, runs: Sequence[Run]) -> Iterator[Destination]:
    """A folder of the user's; for an address a private one, with the runs that are to be resumed from there.

    Raises ``OutputTaken``.
    """
    if not remote_paths.is_address(target):
        folder = Path(target)
        output_dir.prepare(folder, resume)
        try:
            with alone(folder):
                yield Destination(folder)
        finally:
            with suppress(OSError):
                folder.rmdir()  # if nothing came of it
        return
    with tempfile.TemporaryDirectory(prefix="tfkernels-") as name:
        folder = Path(name)
        for run in runs if resume else ():
            try:
                text = remote_paths.read(remote_paths.below(target, f"{run.name}.ipynb"))
            except remote_paths.AddressFailed:
                continue  # it has not run
            (folder / f"{run.name}.ipynb").write_text(text, encoding="utf-8")
        yield Destination(folder, target)


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Keeps other batches out of a folder, at most as long as this process lives. Raises ``OutputTaken``."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise OutputTaken(
                f"Another batch writes to {folder} now. Wait until it has ended, or choose another folder with "
                f"--output."
            ) from None
        except OSError:
            pass  # a file system without locks
        yield
    finally:
        os.close(descriptor)
