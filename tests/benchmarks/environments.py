"""An environment whose packages are cached, beside ``pip install`` of the same set; and what ten of them cost on disk.

pip gets a folder of wheels, which is less work than its cache: it looks nothing up and builds nothing. But it compiles
all modules, which here the first import does, for those that it needs: that is measured as well. And ``tfkernels
install`` looks whether what it has installed works (see ``environments.verify``), so there is also the part of it that
does what pip does.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from uv import find_uv_bin

from tests.benchmarks.rows import Row
from tfprovisioner.environments.run_checks import probe

ROUNDS = 3
PINS = {"tf1": ("numpy==1.16.4", "h5py==2.9.0", "requests==2.21.0"), "tf2": ("numpy==2.2.6", "requests==2.32.3")}
"""Versions as a paper's requirement file has them, others than the verified ones."""
SIBLINGS = 10


def run() -> Iterator[list[Row]]:
    for name in ("tf1", "tf2"):
        Path("build").mkdir(exist_ok=True)
        # Not in /tmp, which may be memory, where uv's cache could not share files with it.
        with tempfile.TemporaryDirectory(dir=Path("build").absolute()) as folder:
            yield from _Place(name, Path(folder)).rows()


class _Place:
    """A data folder and a Jupyter of the benchmark's own, with one environment that was built in it."""

    def __init__(self, name: str, folder: Path) -> None:
        self._name, self._folder = name, folder
        self._kernel = f"bench-{name}"  # `remove` takes a kernel away wherever Jupyter sees it, the user's own as well
        self._seconds: dict[str, list[float]] = {}
        self._work: dict[str, list[float]] = {}
        self._home, jupyter = folder / "home", folder / "jupyter"
        self._variables = {
            # As installed: a checkout's modules would be compiled at every start.
            **{name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"},
            "TFKERNELS_HOME": str(self._home),
            "JUPYTER_DATA_DIR": str(jupyter),
            "JUPYTER_PATH": str(jupyter),
        }
        self._pins_of_users = [word for pin in PINS[name] for word in ("--with", pin)]
        for options in (self._pins_of_users, ()):
            self._install(*options)  # now everything is in uv's cache
            if options:
                self._tfkernels("remove", self._kernel)
        self._built = self._environment()
        self._lock, self._wheels = folder / "requirements.txt", folder / "wheels"
        self._lock.write_bytes((self._built / "requirements.txt").read_bytes())
        self._base = (self._built / "bin" / "python").resolve()
        pip = [self._built / "bin" / "python", "-m", "pip", "wheel", "--quiet", "--no-deps"]
        _do([*pip, "--requirement", self._lock, "--wheel-dir", self._wheels])
        self._pins = folder / "pins.txt"  # a wheel that was built here has no hash that anybody knows
        self._pins.write_text(self._freeze())

    def rows(self) -> Iterator[list[Row]]:
        for number in range(ROUNDS):
            target = self._venv(f"pip{number}")
            with self._timed("pip install"):
                self._pip(target)
            with self._timed("the first import after it"):
                probe(target / "bin" / "python")
            with self._timed("of ours: uv puts it there"):
                self._uv(f"uv{number}")
            self._tfkernels("remove", self._kernel)
            with self._timed("tfkernels install"):
                self._install()
            with self._timed("the first import after it, which compiles"):
                probe(self._environment() / "bin" / "python")
            with self._timed("tfkernels install --rebuild"):
                self._install("--rebuild")
            with self._timed("the first import after that"):
                probe(self._environment() / "bin" / "python")
            self._tfkernels("remove", self._kernel)
            with self._timed("tfkernels install with the user's pins, imported and checked"):
                self._install(*self._pins_of_users)
            self._tfkernels("remove", self._kernel)
            self._install()
        yield [Row(f"{self._name}, packages cached", way, tuple(samples)) for way, samples in self._seconds.items()]
        # What holds on a machine that others use, too
        yield [Row(f"{self._name}, processor time", way, tuple(samples)) for way, samples in self._work.items()]
        yield self._disk()

    def _disk(self) -> list[Row]:
        """Blocks on the disk that uv's cache does not have already."""
        for number in range(1, SIBLINGS):  # other wishes, other environments
            self._tfkernels("install", self._name, "--user", "--name", f"sibling{number}", "--with", f"six>=1.{number}")
        cache = subprocess.run(
            [find_uv_bin(), "cache", "dir"], capture_output=True, text=True, check=True
        ).stdout.strip()
        environments = sorted((self._home / "environments").iterdir())
        assert len(environments) == SIBLINGS
        ours = _blocks(self._home, beside=cache)
        work = f"{self._name}, disk"
        return [
            Row(work, "one environment by pip", (_blocks(self._folder / "pip0"),), "MB"),
            Row(work, f"{SIBLINGS} of ours, beside uv's cache", (ours,), "MB"),
            Row(work, "one of these, looked at alone", (_blocks(environments[0]),), "MB"),
        ]

    @contextmanager
    def _timed(self, way: str) -> Iterator[None]:
        os.sync()  # ours waits until its files are on the disk, and would wait for what pip wrote before
        started, before = time.perf_counter(), _children()
        yield
        self._seconds.setdefault(way, []).append(time.perf_counter() - started)
        self._work.setdefault(way, []).append(_children() - before)

    def _install(self, *options: str) -> None:
        self._tfkernels("install", self._name, "--name", self._kernel, "--user", *options)

    def _environment(self) -> Path:
        (record,) = (self._home / "environments").glob("*/environment.json")
        return record.parent

    def _freeze(self) -> str:
        python = str(self._built / "bin" / "python")
        return subprocess.run(
            [python, "-m", "pip", "freeze", "--all"], capture_output=True, text=True, check=True
        ).stdout

    def _tfkernels(self, *arguments: str) -> None:
        _do([sys.executable, "-m", "tfprovisioner", *arguments], env=self._variables)

    def _venv(self, name: str) -> Path:
        _do([self._base, "-m", "venv", self._folder / name])
        return self._folder / name

    def _pip(self, target: Path) -> None:
        command = [target / "bin" / "python", "-m", "pip", "install", "--quiet", "--no-deps", "--no-index"]
        _do([*command, "--find-links", self._wheels, "--requirement", self._pins])

    def _uv(self, name: str) -> None:
        _do([find_uv_bin(), "venv", "--quiet", "--no-project", "--python", self._base, self._folder / name])
        command = [find_uv_bin(), "pip", "install", "--quiet", "--python", self._folder / name, "--require-hashes"]
        # As ``wheels`` does it; the tools that a package is built with decide whether the built one is used.
        _do([*command, "--no-deps", "--build-constraints", self._lock, "--requirement", self._lock])


def _do(command: list[object], env: dict[str, str] | None = None) -> None:
    done = subprocess.run([str(word) for word in command], env=env, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{command}: {done.stderr}")


def _children() -> float:
    """Seconds of processor time that ended children have taken."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _blocks(folder: Path, beside: str | None = None) -> float:
    """MB; every file counts once, and not at all if ``beside`` has it."""
    folders = [*([beside] if beside else []), str(folder)]
    told = subprocess.run(
        ["du", "--block-size=1", "--summarize", *folders], capture_output=True, text=True, check=False
    )
    return int(told.stdout.splitlines()[-1].split()[0]) / 1e6
