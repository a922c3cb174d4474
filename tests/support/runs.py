"""One executed run and its files, as a worker returns them; no kernel and no process."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nbformat
from nbformat.v4 import new_code_cell, new_notebook

from tfprovisioner.batch import workdir
from tfprovisioner.batch.outcomes import OUTCOME, Executed, Outcome
from tfprovisioner.batch.tasks import Run
from tfprovisioner.notebook_metadata.notebook_file import KEY

RUN = Run("nb-tf1", "nb.ipynb", "tf1", {"n": 1, "lr": 0.5})
PASSED = Outcome(RUN, "passed", "fingerprint")


def executed(outcome: Outcome, **options: Any) -> Executed:
    notebook = new_notebook(cells=[new_code_cell("1")], metadata={KEY: {OUTCOME: outcome.to_json()}})
    return Executed(outcome, nbformat.writes(notebook), **options)


def packed(folder: Path, **files: str) -> bytes:
    """A zip archive of new files in ``folder``, by name."""
    folder.mkdir()
    for name, content in files.items():
        (folder / name).write_text(content)
    archive = workdir.pack({path: path.name for path in folder.iterdir()})
    assert archive is not None
    return archive
