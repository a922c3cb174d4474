"""``%tfkernels`` names the kernel of its notebook, if that is another one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.notebooks import run_cells, text

_RAN = {"name": "python", "version": "3.7.16", "tfkernels": {"kernel": "old", "tensorflow": "1.15.5"}}
_PINNED = {"name": "mine", "release": "1.15.5", "python": "3.7", "packages": "0" * 16}


def pinned(**changed: Any) -> dict[str, Any]:
    return {"tfkernels": {"format": 1, "kernel": {**_PINNED, **changed}}}


def test_notebooks_of_another_kernel_are_named(
    installed: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server tells the kernel its notebook; each line here is that notebook with other metadata."""
    path = tmp_path / "my nb.ipynb"
    path.write_text("{}")
    monkeypatch.setenv("JPY_SESSION_NAME", str(path))
    differs, more = "This kernel differs:", f"More: tfkernels doctor '{path}'"
    expected = {
        json.dumps(metadata): line
        for metadata, line in (
            ({}, ""),
            ({"language_info": _RAN}, ""),
            (pinned(), f"pinned to mine (TensorFlow 1.15.5, Python 3.7). {differs} other packages. {more}"),
            (pinned(packages=None), ""),
            (
                {"tfkernels": {**pinned()["tfkernels"], "outcome": {}}},
                f"its outputs were made on mine (TensorFlow 1.15.5, Python 3.7). {differs} other packages. {more}",
            ),
            (
                {"tfkernels": {**pinned()["tfkernels"], "outcome": {}, "pinned_later": True}},
                f"pinned to mine (TensorFlow 1.15.5, Python 3.7). {differs} other packages. {more}",
            ),
            (
                pinned(release="1.4.0", python="3.6"),
                f"pinned to mine (TensorFlow 1.4.0, Python 3.6). {differs} TensorFlow 1.15.5, Python 3.7. {more}",
            ),
            (
                {"language_info": {**_RAN, "version": 5, "tfkernels": {"kernel": "tf1", "tensorflow": "2.11.0"}}},
                f"last saved on tf1 (TensorFlow 2.11.0). {differs} TensorFlow 1.15.5. {more}",
            ),
            (pinned(name="\x1b[2J"), ""),
            ({"tfkernels": [], "language_info": "x"}, ""),
        )
    }  # fmt: skip
    cells = [
        f"with open({str(path)!r}, 'w') as file: file.write({json.dumps({'metadata': json.loads(metadata)})!r})\n"
        "%tfkernels"
        for metadata in expected
    ]
    for outputs, line in zip(run_cells("tf1", *cells), expected.values(), strict=True):
        said = [row for row in text(outputs).splitlines() if "nb.ipynb" in row]
        assert said == ([f"my nb.ipynb: {line}"] if line else [])
