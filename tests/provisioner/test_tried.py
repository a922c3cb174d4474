"""Environments of files that were tried on this machine before: not tried again, and never taken on trust otherwise."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.provisioner import tiny
from tests.provisioner.commands import built, tfkernels
from tfprovisioner import environments, garbage, install, probe, tried

Install = Callable[..., tuple[int, str]]

_TRY = "checking: importing TensorFlow"


@pytest.fixture
def build(index: tiny.Index, install: Install) -> Install:
    """``tfkernels install tf1 --user …`` from the index of the tiny release."""
    return lambda *arguments: install(*arguments, "--index", index.url)


@pytest.fixture
def once(build: Install, place: Path) -> Path:
    """The folder of an environment that was built and tried."""
    code, said = build()
    assert code == 0, said
    assert _TRY in said
    return built(place)[0].parent


def compiled(folder: Path) -> dict[str, int]:
    """The compiled modules of an environment, each with the file that it is."""
    return {path.name: path.stat().st_ino for path in folder.rglob("*.pyc")}


def test_the_same_files_are_neither_tried_nor_compiled_again(once: Path, build: Install, place: Path) -> None:
    before = json.loads(built(place)[0].read_text())
    modules = compiled(once)
    assert any(name.startswith("__init__.cpython") for name in modules)
    install.remove("tf1")
    assert built(place) == []

    code, said = build()
    assert code == 0, said
    assert _TRY not in said
    (record,) = built(place)
    after = json.loads(record.read_text())
    assert record.parent != once
    assert compiled(record.parent) == modules, "before anything was imported"
    assert {**after, "built": None} == {**before, "built": None}
    assert after["size"] == pytest.approx(environments.size(record.parent), rel=0.02), "but for what names the folder"


def test_a_file_that_was_edited_in_uvs_cache_is_not_taken_on_trust(
    once: Path,
    build: Install,
    place: Path,
) -> None:
    """Environments share files with the cache: who edits one edits both, and a rebuild brings the edited file back."""
    (module,) = once.glob("lib/python*/site-packages/tensorflow/__init__.py")
    with module.open("a") as file:
        file.write("raise ImportError('edited')\n")
    code, said = build("--rebuild")
    assert code == 1
    assert _TRY in said
    assert "does not work, so it was taken away again" in said
    assert built(place) == [once / "environment.json"]


def test_what_doctor_found_broken_is_tried_again(once: Path, build: Install) -> None:
    (module,) = once.glob("lib/python*/site-packages/numpy/__init__.py")
    module.unlink()
    assert tfkernels("doctor", "tf1").returncode == 1
    code, said = build("--rebuild")
    assert code == 0, said
    assert _TRY in said


@pytest.mark.parametrize("what", ["another machine", "another Python", "another question"])
def test_what_a_try_depends_on(
    once: Path,
    build: Install,
    what: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if what == "another machine":
        monkeypatch.setattr("platform.node", lambda: "elsewhere")
    elif what == "another question":
        monkeypatch.setattr(probe, "QUESTION", f"{probe.QUESTION}\n")
    else:
        name = tried.key(once)
        python = environments.python_in(once)
        real = python.resolve()
        python.unlink()
        shutil.copy(real, python)
        assert tried.key(once) != name
        return
    code, said = build("--rebuild")
    assert code == 0, said
    assert _TRY in said


def test_gc_takes_away_what_was_kept_for_environments_that_are_gone(
    once: Path,
    build: Install,
    place: Path,
) -> None:
    (kept,) = tried.root().iterdir()
    assert garbage.collect() == []
    killed = tried.root() / f".{kept.name}.1"
    shutil.copytree(kept, killed)
    assert [Path(item.path) for item in garbage.collect()] == [killed], "a process was killed while it kept a try"

    install.remove("tf1")
    assert kept in [Path(item.path) for item in garbage.collect(dry_run=True)]
    assert kept.exists()
    assert kept in [Path(item.path) for item in garbage.collect()]
    assert not kept.exists()
    code, said = build()
    assert code == 0, said
    assert _TRY in said


@pytest.mark.parametrize("damage", ["", "{", '{"findings": {}, "size": 1}'])
def test_a_damaged_record_of_a_try_is_none(once: Path, build: Install, damage: str) -> None:
    (kept,) = tried.root().iterdir()
    (kept / "try.json").write_text(damage)
    code, said = build("--rebuild")
    assert code == 0, said
    assert _TRY in said
    assert build("--rebuild")[0] == 0
