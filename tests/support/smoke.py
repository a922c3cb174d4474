"""Check of a release: wheel and sdist, each installed into empty environments without a compiler, and tried.

``make dist`` builds both, and tries the wheel on this Python. ``make release-check`` tries both, on the oldest and the
newest Python, with the lowest and the newest packages that ``pyproject.toml`` allows, and runs the README's cells.
"""

from __future__ import annotations

import itertools
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from argparse import ArgumentParser
from pathlib import Path

from uv import find_uv_bin

from tfprovisioner.pythons import find

PYTHONS = ("3.10", "3.13")
"""The oldest and the newest Python that all dependencies have wheels for."""

LOWEST, HIGHEST = "lowest-direct", "highest"
"""Which packages uv takes, in its words."""

_README = Path(__file__).parents[2] / "README.md"

_LOAD = """
from IPython.core.interactiveshell import InteractiveShell
shell = InteractiveShell.instance()
shell.run_line_magic("load_ext", "tfkernels")
assert "each" in shell.magics_manager.magics["cell"], "no %%each"
import tfkernels
print(tfkernels.compare([1.0], [1.0]).passed)
"""

_CELLS = """
import json, sys
import nbformat
from nbclient import NotebookClient
cells = [nbformat.v4.new_code_cell(cell) for cell in json.load(sys.stdin)]
notebook = nbformat.v4.new_notebook(cells=cells)
NotebookClient(notebook, kernel_name="python3", timeout=600).execute()
print("".join(output.get("data", {}).get("text/plain", "") for output in cells[-1].outputs))
"""


class Trial:
    """One archive in one empty environment."""

    def __init__(self, archive: Path, python: Path | str, folder: Path, resolution: str) -> None:
        self._archive = archive.resolve()
        self._python = python
        self._folder = folder
        self._resolution = resolution
        self._venv = folder / "venv"
        # No checkout, no user data, and no compiler: everything must come from wheels.
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "VIRTUAL_ENV"))}
        self._variables = {
            **kept, "CC": "/bin/false", "CXX": "/bin/false", "IPYTHONDIR": str(folder / "ipython"),
            "TFKERNELS_HOME": str(folder / "home"), "PATH": f"{self._venv / 'bin'}{os.pathsep}{os.environ['PATH']}",
        }  # fmt: skip

    def run(self, *command: str | Path, given: str | None = None) -> str:
        words = [str(word) for word in command]
        print("$", Path(words[0]).name, *[word for word in words[1:] if "\n" not in word], flush=True)
        return subprocess.run(
            words, cwd=self._folder, env=self._variables, input=given, stdout=subprocess.PIPE, text=True, check=True
        ).stdout

    def install(self) -> int:
        """Installs the archive, and tries what needs no TensorFlow. Returns the number of packages."""
        uv, tfkernels = find_uv_bin(), self._venv / "bin" / "tfkernels"
        self.run(uv, "venv", "--quiet", "--python", str(self._python), self._venv)
        options = ("--python", self._venv, "--resolution", self._resolution)
        self.run(uv, "pip", "install", "--quiet", *options, self._archive)
        self.run(uv, "pip", "check", "--quiet", "--python", self._venv)
        assert self._archive.name.removesuffix(".tar.gz").split("-")[1] in self.run(tfkernels, "--version")
        assert "install" in self.run(tfkernels, "--help")
        assert len(json.loads(self.run(tfkernels, "releases", "--json"))) >= 38
        assert self.run(self._venv / "bin" / "python", "-c", _LOAD).strip().endswith("True")
        return len(self.run(uv, "pip", "list", "--quiet", "--format", "freeze", "--python", self._venv).splitlines())

    def readme(self) -> str:
        """Builds the two kernels as the README says it, and runs its cells. Returns what the last one shows."""
        self.run(self._venv / "bin" / "tfkernels", "install")
        *cells, script = re.findall(r"```python\n(.*?)```", _README.read_text(encoding="utf-8"), re.DOTALL)
        shown = self.run(self._venv / "bin" / "python", "-c", _CELLS, given=json.dumps(cells))
        assert self.run(self._venv / "bin" / "python", "-c", script).splitlines()[-1] == "6.0"
        return shown


def trials(archives: list[Path], every: bool) -> list[tuple[Path, Path | str, str]]:
    """Archive, Python and resolution of each trial."""
    if not every:
        return [(archives[0], sys.executable, HIGHEST)]
    found: list[tuple[Path, Path | str, str]] = []
    for archive, version, resolution in itertools.product(archives, PYTHONS, (LOWEST, HIGHEST)):
        pythons = [python.path for python in find.pythons(version)]
        found.append((archive, pythons[0] if pythons else version, resolution))
    return found


def main() -> None:
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("archives", nargs="+", type=Path)
    parser.add_argument("--every", action="store_true", help="all Pythons and packages, and the README's cells")
    parser.add_argument("--only", type=int, action="append", help="of all, the trial with this number; repeatable")
    chosen = parser.parse_args()
    for number, (archive, python, resolution) in enumerate(trials(chosen.archives, chosen.every)):
        if chosen.only and number not in chosen.only:
            continue
        started = time.monotonic()
        with tempfile.TemporaryDirectory() as folder:
            trial = Trial(archive, python, Path(folder), resolution)
            packages = trial.install()
            if chosen.every:
                assert "tf1" in trial.readme(), "the comparison names both sides"
        took = time.monotonic() - started
        print(f"{archive.name} works on {python} with the {resolution} packages: {packages} of them, {took:.0f} s.")


if __name__ == "__main__":
    main()
