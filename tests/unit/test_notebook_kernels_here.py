"""Notebooks whose kernel is here already: registered elsewhere, or of an environment that the user added."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from tfkernels.client import kernelspecs
from tfkernels.client.kernelspecs import KernelSpec
from tfprovisioner.cli import maintain, notebooks
from tfprovisioner.cli.app import app
from tfprovisioner.kernelspecs import health
from tfprovisioner.notebook_metadata import wanted_kernel
from tfprovisioner.notebook_metadata.differences import NotebookDiagnosis
from tfprovisioner.notebook_metadata.notebook_file import read
from tfprovisioner.requirements.request import EXISTING, InstallRequest

Register = Callable[..., None]


@pytest.fixture
def notebook(tmp_path: Path) -> Path:
    """One that Jupyter saved on the kernel mine."""
    language = {"tfkernels": {"kernel": "mine", "tensorflow": "1.15.5"}, "version": "3.7.16"}
    metadata = {"kernelspec": {"name": "mine"}, "language_info": language}
    path = tmp_path / "nb.ipynb"
    path.write_text(json.dumps({"nbformat": 4, "nbformat_minor": 5, "metadata": metadata, "cells": []}))
    return path


@pytest.fixture
def register(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Register:
    """Registers the kernel mine, in the environment of Jupyter."""

    def registered(**described: Any) -> None:
        known = {"tensorflow": "1.15.5", "python": "3.7.16", "environment": "/e", "command": "the command"}
        folder = Path(sys.prefix, "share", "jupyter", "kernels", "mine")
        spec = KernelSpec("mine", folder, {"argv": [], "metadata": {"tfkernels": {**known, **described}}})
        monkeypatch.setattr(kernelspecs, "find", lambda: {"mine": spec})
        monkeypatch.setattr(kernelspecs, "get", lambda _: spec)
        monkeypatch.setattr(kernelspecs, "python_kernels", lambda: {"mine": spec})
        monkeypatch.setattr(health, "look", lambda *_: (None, None))

    return registered


def test_a_place_that_is_asked_for_gets_the_kernel(notebook: Path, register: Register, tmp_path: Path) -> None:
    register(backend="uv", order={"release": "1.15", "name": "mine", "extras": ["pandas"]})
    assert wanted_kernel.wanted(read(notebook), InstallRequest("")).ready
    there = wanted_kernel.wanted(read(notebook), InstallRequest("", prefix=str(tmp_path), only_binary=False))
    assert not there.ready
    assert (there.request.prefix, there.request.kernel, there.request.extras) == (str(tmp_path), "mine", ("pandas",))
    assert f"--prefix {tmp_path}" in there.command
    (tmp_path / "share" / "jupyter" / "kernels" / "mine").mkdir(parents=True)
    (tmp_path / "share" / "jupyter" / "kernels" / "mine" / "kernel.json").write_text("{}")
    assert wanted_kernel.wanted(read(notebook), InstallRequest("", prefix=str(tmp_path))).ready, "it is there, too"


def test_a_kernel_that_was_added_is_there(notebook: Path, register: Register) -> None:
    register(backend=EXISTING)
    for options in (["--yes"], ["--dry-run"]):
        done = CliRunner().invoke(app, ["install", str(notebook), "--json", *options])
        assert done.exit_code == 0, done.output
        (document,) = json.loads(done.stdout)
        assert (document["kernel"], document["state"], document["error"]) == ("mine", "already there", None)
        assert (document["environment"], document["command"]) == ("/e", "the command")


def test_doctor_provides_what_a_notebook_wants(notebook: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    provided: list[Path] = []

    def provide(path: Path, _: InstallRequest) -> None:
        print("what install prints")
        provided.append(path)

    monkeypatch.setattr(notebooks, "provide", provide)

    def diagnosis(*_: object) -> list[NotebookDiagnosis]:
        lacking = None if provided else "tfkernels install nb.ipynb"
        told = () if provided else ("its kernel 'mine' is not registered here",)
        return [NotebookDiagnosis("nb.ipynb", bool(provided), "pinned to", "mine", None, told, lacking)]

    monkeypatch.setattr(maintain, "_read", diagnosis)
    told = CliRunner().invoke(app, ["doctor", str(notebook)])
    assert told.exit_code == 1
    assert "nb.ipynb: its kernel 'mine' is not registered here" in told.stdout.splitlines()
    assert not provided
    alone = CliRunner().invoke(app, ["doctor", "--fix", str(notebook)])
    assert (alone.exit_code, provided) == (1, [])
    assert f"Run: tfkernels install {notebook} --yes" in alone.stderr
    monkeypatch.setattr(maintain, "can_ask", lambda: True)
    fixed = CliRunner().invoke(app, ["doctor", "--fix", "--json", str(notebook)])
    assert (fixed.exit_code, provided) == (0, [notebook])
    assert json.loads(fixed.stdout)[0]["ok"], "what install prints is elsewhere"


def test_open_builds_sources_only_if_asked(notebook: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[InstallRequest] = []

    def provide(_: Path, template: InstallRequest, yes: bool) -> None:
        asked.append(template)
        raise SystemExit(yes)

    monkeypatch.setattr(notebooks, "provide", provide)
    for option in ("--no-only-binary", "--user"):
        CliRunner().invoke(app, ["open", str(notebook), option])
    assert [template.only_binary for template in asked] == [False, None]


def test_a_lock_is_not_loosened(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["install", "--lock", str(tmp_path / "lock"), "--relax"])
    assert done.exit_code == 2
    assert "omit --relax" in " ".join(done.stderr.split())
