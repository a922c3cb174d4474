"""Where a batch writes when an address takes nothing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook

from tfprovisioner.batch import output_dir, workdir
from tfprovisioner.batch.outcomes import METADATA, Executed, Outcome
from tfprovisioner.batch.tasks import Run

RUN = Run("nb-tf1", "nb.ipynb", "tf1", {"n": 1, "lr": 0.5})


PASSED = Outcome(RUN, "passed", "fingerprint")


def _executed(outcome: Outcome, **options: Any) -> Executed:
    notebook = new_notebook(cells=[new_code_cell("1")], metadata={METADATA: outcome.to_json()})
    return Executed(outcome, nbformat.writes(notebook), **options)


def _packed(folder: Path, **files: str) -> bytes:
    folder.mkdir()
    for name, content in files.items():
        (folder / name).write_text(content)
    packed = workdir.pack({path: path.name for path in folder.iterdir()})
    assert packed is not None
    return packed


def test_what_an_address_does_not_take_is_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    said: list[str] = []
    with output_dir.opened("http://user:secret@127.0.0.1:9/out?token=secret", False, []) as destination:
        packed = _packed(tmp_path / "work", file="1")
        written = output_dir.write(destination.folder, _executed(PASSED, files=packed))
        place = Path(destination.publish(written, said.append))
        assert destination.folder not in place.parents
    assert json.loads(place.read_text())["metadata"][METADATA]["state"] == "passed"
    assert (place.parent / "nb-tf1.files" / "file").read_text() == "1"
    assert not [text for text in said if "secret" in text]
