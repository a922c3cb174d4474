"""Conflicts of requirements as users meet them: real resolutions against an index here."""

from __future__ import annotations

import io
import json
import shlex
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support import package_index
from tests.support.commands import built, nothing_is_there
from tfprovisioner.catalogue import pins
from tfprovisioner.cli import app as cli
from tfprovisioner.requirements.lines import name_of

Install = Callable[..., tuple[int, str]]


@pytest.fixture
def file(index: package_index.Index, place: Path) -> Path:
    """Requirements of which two lines stand alone against others, two against each other, and one can be fulfilled."""
    for requirement in pins.requirements(pins.WITH, "1.15.5"):
        name = name_of(requirement)
        if name != "ipykernel":
            package_index.wheel(index.folder, name, "9.0", {f"{name}.py": ""})
    for version in ("1.0", "1.1", "1.2"):
        package_index.wheel(index.folder, "extra", version, {"extra.py": ""})
    package_index.wheel(index.folder, "part0", "0.5", {"part0.py": ""})
    package_index.wheel(index.folder, "older", "1.0", {"older.py": ""}, "part0<1")
    package_index.wheel(index.folder, "needy", "1.0", {"needy.py": ""}, "extra>=1.1")
    package_index.source(index.folder, "source", "1.0", "raise SystemExit('not for you')")
    package_index.wheel(index.folder, "source", "1.1", {"source.py": ""})
    path = place / "requirements.txt"
    path.write_text("six-of-nobody\nextra==1.0\nneedy\n\npart0==1.0\nolder\nsource==1.0\nnumpy\n")
    return path


class Terminal(io.StringIO):
    """Standard input with the user's answers."""

    def isatty(self) -> bool:
        return True


def test_all_conflicts_are_told_and_loosened_after_a_yes(
    index: package_index.Index, install: Install, place: Path, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = ("--requirements", str(file), "--index", index.url)
    code, words = install(*command)
    assert code == 1
    assert "Cannot add 6 of 7 requirements to TensorFlow 1.15.5 on Python " in words
    told = [line[2:] for line in words.splitlines() if line.startswith("  ")]
    source = told.pop()
    assert told == [
        f"six-of-nobody ({file}:1): the index has no package six-of-nobody",
        f"extra==1.0 ({file}:2) and needy ({file}:3): every needy needs extra>=1.1",
        f"part0==1.0 ({file}:5) and older ({file}:6): every older needs part0<1",
    ]
    assert source.startswith(f"source==1.0 ({file}:7): it has no wheel for Python ")
    assert source.endswith(", and cannot be built: its setup code failed")
    assert "4 requirements have to change. To see how, add --relax to tfkernels install." in words
    assert nothing_is_there(place)

    code, words = install(*command, "--relax", "--json")
    assert code == 1
    (failed,) = json.JSONDecoder().raw_decode(words)[0]
    assert failed["conflicts"][1]["requirements"] == ["extra==1.0", "needy"]
    assert failed["conflicts"][1]["causes"] == ["every needy needs extra>=1.1"]
    assert failed["changes"][1] == {"old": "extra==1.0", "new": "extra>=1.0", "version": "1.2"}
    assert "Nothing was changed: --relax cannot ask here. Run the same command with --yes, or:\n" in words
    advised = words.splitlines()[-1]
    assert nothing_is_there(place)

    monkeypatch.setattr(sys, "stdin", Terminal("n\n"))
    code, words = install(*command, "--relax")
    assert code == 1
    assert "Install with these changes? [y/N]" in words
    assert nothing_is_there(place)

    monkeypatch.setattr(sys, "stdin", Terminal("y\n"))
    code, words = install(*command, "--relax")
    assert code == 0, words
    rows = [line.split() for line in words.splitlines()]
    assert ["extra==1.0", "extra>=1.0", "1.2"] in rows
    assert ["six-of-nobody", "(removed)"] in rows
    assert ["part0==1.0", "part0", "0.5"] in rows
    assert f"tf1: the same kernel again: {advised}" in words
    order = json.loads((place / "jupyter" / "kernels" / "tf1" / "kernel.json").read_text())["metadata"]["tfkernels"]
    assert order["command"] == advised
    (record,) = built(place)
    lock = (record.parent / "requirements.txt").read_text()
    assert all(f"{pin} " in lock for pin in ("extra==1.2", "part0==0.5", "source==1.1", "numpy==1.0"))

    assert not cli.app(["install", *shlex.split(advised)[2:], "--rebuild", "--index", index.url], standalone_mode=False)
    (record,) = built(place)
    assert (record.parent / "requirements.txt").read_text() == lock


def test_lines_of_earlier_installs_are_loosened_too(
    index: package_index.Index, install: Install, place: Path, file: Path
) -> None:
    code, words = install("--with", "extra==1.0,source>=1.1,part1", "--index", index.url)
    assert code == 0, words
    for path in index.folder.glob("source-*"):
        path.unlink()
    command = ("--with", "needy", "--relax", "--yes", "--index", index.url)
    code, words = install(*command, "--dry-run")
    assert code == 0, words
    assert "the same kernel again" not in words, "there is none yet"
    code, words = install(*command)
    assert code == 0, words
    order = json.loads((place / "jupyter" / "kernels" / "tf1" / "kernel.json").read_text())["metadata"]["tfkernels"]
    assert sorted(order["order"]["extras"]) == ["extra>=1.0", "needy", "part1"]
