"""Pythons from conda-forge, for machines that have none of a version. All environments of that version share one."""

import contextlib
import hashlib
import json
import os
import platform
import sys
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

from tfprovisioner.conda import channels, solve
from tfprovisioner.conda.channels import PackageRequest
from tfprovisioner.errors import BuildFailed, NoInterpreter
from tfprovisioner.progress import Reporter
from tfprovisioner.pythons import find
from tfprovisioner.system import data_dir, locking, uv
from tfprovisioner.system.built_folders import BuiltFolders, runs

FOLDERS = BuiltFolders("pythons", "python.json")

root, delete = FOLDERS.root, FOLDERS.delete


def available(version: str, asked: tuple[str, ...]) -> bool:
    """Whether a Python is here already, or may be fetched."""
    return current(version, asked) is not None or uv.forbidden() is None


def current(version: str, asked: tuple[str, ...]) -> Path | None:
    """The folder of a Python that is here already."""
    return _current(_name(version, channels.chosen(asked)))


@contextmanager
def ensured(version: str, asked: tuple[str, ...], program: str | None, report: Reporter) -> Iterator[Path]:
    """The interpreter of a version (``3.7``), fetched if need be. While the context lasts nobody deletes it.

    Leave the context when an environment refers to it; from then on that protects it. Raises ``BuildFailed``.
    """
    taken = channels.chosen(asked)
    name = _name(version, taken)
    with locking.held(name, lambda: report.step("waiting for another tfkernels that fetches the same Python")):
        folder = _current(name)
        if folder is None:
            source = channels.shown(taken)
            report.note(f"no Python {version} was found, and uv has none to download: {source} brings it")
            folder = _fetch(name, PackageRequest(taken, (f"python={version}",)), program, report)
            FOLDERS.sweep(name, lambda other: other == folder or _is_used(other))
        yield folder / "bin" / "python"


def sweep() -> list[Path]:
    """Deletes every Python that no environment uses, and the rest of killed fetches; returns the deleted folders."""
    deleted = []
    for folder in unused():
        delete(folder)
        deleted.append(folder)
    return deleted


def unused(without: Collection[Path] = ()) -> Iterator[Path]:
    """The folders that no environment uses, or only one of ``without``; each is locked until the next is asked for."""
    for folder in FOLDERS.every():
        with contextlib.suppress(TimeoutError), locking.lock(folder.name).acquire(timeout=0):
            if not _is_used(folder, without):
                yield folder


def _name(version: str, taken: tuple[str, ...]) -> str:
    source = json.dumps([sorted(channels.public(channel) for channel in taken), sys.platform, platform.machine()])
    return f"python-{version}-{hashlib.sha256(source.encode()).hexdigest()[:8]}"


def _current(name: str) -> Path | None:
    folder = FOLDERS.newest(name)
    return folder if folder and (folder / "bin" / "python").exists() else None


def _fetch(name: str, request: PackageRequest, program: str | None, report: Reporter) -> Path:
    try:
        with FOLDERS.built(name) as folder:
            solve.fill(folder, request, program, report)
            FOLDERS.complete(folder, {"version": find.ask(folder / "bin" / "python").version})
    except NoInterpreter as error:
        raise BuildFailed(f"The Python was fetched but does not work, so it was deleted: {error}") from error
    return folder


def _is_used(folder: Path, without: Collection[Path] = ()) -> bool:
    """Whether an environment, also an unfinished one, was made from it, or a program runs from it."""
    place = os.path.realpath(folder)
    for configuration in data_dir.environments().glob("*/pyvenv.cfg"):
        if configuration.parent not in without:
            with contextlib.suppress(FileNotFoundError, NotADirectoryError):
                try:
                    lines = configuration.read_text(encoding="utf-8").splitlines()
                except PermissionError:  # another user's environment may be made from it
                    return True
                homes = (line.partition("=")[2].strip() for line in lines if line.partition("=")[0].strip() == "home")
                if any(Path(os.path.realpath(home)).is_relative_to(place) for home in homes):
                    return True
    return runs(folder)
