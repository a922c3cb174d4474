"""Where a batch writes when an address takes nothing."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.runs import PASSED, executed, packed
from tfprovisioner.batch import output_dir
from tfprovisioner.batch.outcomes import OUTCOME
from tfprovisioner.notebook_metadata.notebook_file import KEY


def test_what_an_address_does_not_take_is_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    said: list[str] = []
    with output_dir.opened("http://user:secret@127.0.0.1:9/out?token=secret", False, []) as destination:
        files = packed(tmp_path / "work", file="1")
        written = output_dir.write(destination.folder, executed(PASSED, files=files))
        place = Path(destination.publish(written.path, said.append))
        assert destination.folder not in place.parents
    assert json.loads(place.read_text())["metadata"][KEY][OUTCOME]["state"] == "passed"
    assert (place.parent / "nb-tf1.files" / "file").read_text() == "1"
    assert not [text for text in said if "secret" in text]
