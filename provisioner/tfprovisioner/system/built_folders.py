"""Folders that are whole or not there: each is built under a new name, and exists when its record does."""

import contextlib
import json
import os
import secrets
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from tfprovisioner.system import data_dir, files


@dataclass(frozen=True)
class BuiltFolders:
    """Those of one kind. Folders of one name have the same content; hold its lock (``locking``) to change them."""

    place: str
    """The folder that they are in, in the data folder."""
    record: str
    """The file that is written last. Without it a folder is incomplete."""

    def root(self) -> Path:
        return data_dir.home() / self.place

    def every(self, name: str = "*") -> list[Path]:
        """The folders of a name, complete or not."""
        return sorted(self.root().glob(f"{name}.build-*"))

    def newest(self, name: str) -> Path | None:
        """The complete folder of a name that was built last."""
        whole = [folder for folder in self.every(name) if (folder / self.record).exists()]
        return max(whole, key=lambda folder: (folder / self.record).stat().st_mtime, default=None)

    @contextmanager
    def built(self, name: str) -> Iterator[Path]:
        """A new folder, which an exception deletes. Programs of killed builds may still write to theirs."""
        folder = self.root() / f"{name}.build-{secrets.token_hex(3)}"
        try:
            folder.mkdir(parents=True)
            yield folder
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise

    def complete(self, folder: Path, record: Mapping[str, Any]) -> None:
        """Writes the record. From then on the folder exists."""
        files.flush(folder)  # a small record would survive a power cut that the other files do not
        files.replace_text(folder / self.record, json.dumps(record, indent=1))

    def sweep(self, name: str, used: Callable[[Path], object]) -> None:
        """Deletes the folders of a name that are not ``used``. What may not be read stays."""
        for folder in self.every(name):
            with contextlib.suppress(OSError):  # the next sweep may have more luck
                if not used(folder):
                    self.delete(folder)

    def delete(self, folder: Path) -> None:
        """Deletes a folder, the record first, so that it never looks complete. Raises ``OSError``."""
        (folder / self.record).unlink(missing_ok=True)
        shutil.rmtree(folder)


def runs(folder: Path) -> bool:
    """Whether a process runs from a folder, or has the environment in it activated.

    Of other users' processes only the command line can be read.
    """
    return any(_works_in(process.info, folder) for process in psutil.process_iter(["cmdline", "exe", "environ"]))


def _works_in(process: dict[str, Any], folder: Path) -> bool:
    # Most environments' Python is a link: the executable is elsewhere, and the command line names the link.
    programs = [*(process["cmdline"] or [])[:1], process["exe"] or ""]
    # Any program of the system may run there. A shell may have changed PATH; conda's have no VIRTUAL_ENV.
    variables = process["environ"] or {}
    active = [variables.get("VIRTUAL_ENV", ""), *variables.get("PATH", "").split(os.pathsep)]
    return any(_lies_in(path, folder) for path in [*programs, *active])


def _lies_in(path: str, folder: Path) -> bool:
    """Whether a path, perhaps through links to the data folder, lies in a folder."""
    above, name, _ = f"{path}{os.sep}".partition(f"{os.sep}{folder.name}{os.sep}")
    return bool(name) and os.path.realpath(above + name) == os.path.realpath(folder)
