"""Smoke test of a built wheel: installs it into an empty environment without a compiler, and tries it.

``make dist`` runs ``python -m tests.support.smoke dist/tfkernels-*.whl`` after the build.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from uv import find_uv_bin

_LOAD = """
from IPython.core.interactiveshell import InteractiveShell
shell = InteractiveShell.instance()
shell.run_line_magic("load_ext", "tfkernels")
assert "each" in shell.magics_manager.magics["cell"], "no %%each"
import tfkernels
print(tfkernels.compare([1.0], [1.0]).passed)
"""


def main(wheel: Path) -> None:
    with tempfile.TemporaryDirectory() as folder:
        venv = Path(folder) / "venv"
        # No checkout, no user data, and no compiler: everything must come from wheels.
        variables = {
            name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "VIRTUAL_ENV"))
        }
        variables.update(
            CC="/bin/false", CXX="/bin/false", TFKERNELS_HOME=f"{folder}/home", IPYTHONDIR=f"{folder}/ipython"
        )

        def run(*command: str | Path) -> str:
            print("$", Path(command[0]).name, *[word for word in command[1:] if "\n" not in str(word)], flush=True)
            return subprocess.run(
                [str(word) for word in command],
                cwd=folder,
                env=variables,
                stdout=subprocess.PIPE,
                text=True,
                check=True,
            ).stdout

        uv, tfkernels = find_uv_bin(), venv / "bin" / "tfkernels"
        run(uv, "venv", "--quiet", "--python", sys.executable, venv)
        run(uv, "pip", "install", "--quiet", "--python", venv, wheel.resolve())
        run(uv, "pip", "check", "--quiet", "--python", venv)
        assert run(tfkernels, "--version").strip().endswith(wheel.name.split("-")[1])
        assert "install" in run(tfkernels, "--help")
        assert len(json.loads(run(tfkernels, "releases", "--json"))) >= 38
        assert run(venv / "bin" / "python", "-c", _LOAD).strip().endswith("True")
        packages = len(run(uv, "pip", "list", "--quiet", "--format", "freeze", "--python", venv).splitlines())
        print(f"{wheel.name} works in an empty environment; {packages} packages with it.")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
