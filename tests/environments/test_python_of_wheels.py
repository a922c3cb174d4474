"""The user's pins decide the Python, where the preferred one is too new for their wheels."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tests.support import package_index
from tfprovisioner.catalogue import releases
from tfprovisioner.progress import Reporter
from tfprovisioner.pythons import choose
from tfprovisioner.pythons.choose import Interpreter
from tfprovisioner.requirements.request import InstallRequest
from tfprovisioner.resolution import python_of_wheels


class Notes(Reporter):
    def __init__(self) -> None:
        self.told: list[str] = []

    def note(self, text: str) -> None:
        self.told.append(text)


def chosen(monkeypatch: pytest.MonkeyPatch, *pins: str, python: str | None = None) -> tuple[str, list[str]]:
    """The Python of a release for 3.7 and 3.6, and what was told."""
    release = replace(releases.find("tf1"), pythons=("3.7", "3.6"))
    monkeypatch.setattr(releases, "find", lambda *asked: release)
    monkeypatch.setattr(choose, "choose", lambda of, asked, *_: Interpreter(asked or of.pythons[0], None))
    notes = Notes()
    return python_of_wheels.choose(InstallRequest("1.15", extras=pins, python=python), notes).minor, notes.told


def wheel(index: package_index.Index, name: str, tag: str) -> None:
    path = package_index.wheel(index.folder, name, "1.0", {f"{name}.py": ""})
    path.rename(path.with_name(f"{name}-1.0-{tag}.whl"))


def test_the_python_is_one_with_wheels_of_the_pins(
    index: package_index.Index, monkeypatch: pytest.MonkeyPatch, place: Path
) -> None:
    monkeypatch.setenv("UV_DEFAULT_INDEX", index.url)
    wheel(index, "old", "cp36-cp36m-manylinux1_x86_64")
    wheel(index, "pure", "py3-none-any")
    package_index.source(index.folder, "built", "1.0", "")
    python, told = chosen(monkeypatch, "old==1.0", "pure==1.0", "built==1.0", "none==1.0")
    assert (python, told) == ("3.6", ["Python 3.6: it has wheels of old==1.0, and Python 3.7 has not"])
    index.asked.clear()
    assert chosen(monkeypatch, "pure==1.0", "built==1.0") == ("3.7", [])
    assert chosen(monkeypatch, "old==1.0", python="3.7") == ("3.7", [])
    assert chosen(monkeypatch, "numpy==1.0") == ("3.7", []), "the verified lock has it"
    assert "old" not in index.asked
    assert "numpy" not in index.asked
