"""Kinds of environments that users have, by their files, and the command of the user's own tool for each."""

from __future__ import annotations

import shutil
import venv
from pathlib import Path

import pytest

from tfprovisioner.existing import inspect, kinds
from tfprovisioner.existing.kinds import Place

PIP = "lib/python3/site-packages/pip/"


@pytest.mark.parametrize(
    ("files", "kind", "command"),
    [
        (["pyvenv.cfg"], "venv", "uv pip install --python {python} ipykernel"),
        (["pyvenv.cfg", PIP], "venv", "{python} -m pip install ipykernel"),
        (["pyvenv.cfg=virtualenv", PIP], "virtualenv", "{python} -m pip install ipykernel"),
        (["pyvenv.cfg=uv = 0.9"], "uv", "uv pip install --python {python} ipykernel"),
        (["pyvenv.cfg", "../uv.lock"], "uv project", "uv add --project {project} --dev ipykernel"),
        (
            ["pyvenv.cfg", "../poetry.lock", "../pyproject.toml"], "poetry",
            "poetry --directory {project} add --group dev ipykernel",
        ),
        (["conda-meta/history"], "conda", "conda install --prefix {folder} ipykernel"),
        ([], "python", "{python} -m pip install ipykernel"),
    ],
)  # fmt: skip
def test_each_kind_has_its_command(
    files: list[str], kind: str, command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("CONDA_EXE", "MAMBA_EXE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(shutil, "which", lambda program: program if program in ("uv", "conda") else None)
    folder = tmp_path / "project" / ".venv"
    (folder / "bin").mkdir(parents=True)
    (folder / "bin" / "python").touch()
    for entry in files:
        name, _, content = entry.partition("=")
        path = folder / name
        if name.endswith("/"):
            path.mkdir(parents=True)
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content)
    place = inspect.find(folder)
    assert kinds.kind(folder) == kind
    words = {"python": place.python, "project": folder.parent, "folder": folder}
    assert kinds.installing(place, ["ipykernel"]) == command.format(**words)


def test_pixi(tmp_path: Path) -> None:
    for name in ("default", "gpu"):
        folder = tmp_path / ".pixi" / "envs" / name
        (folder / "conda-meta").mkdir(parents=True)
        (folder / "conda-meta" / "history").touch()
        (folder / "bin").mkdir()
        (folder / "bin" / "python").touch()
    default = inspect.find(tmp_path)
    assert default == Place(tmp_path / ".pixi" / "envs" / "default", default.python, tmp_path)
    assert kinds.installing(default, ["ipykernel"]) == f"pixi add --manifest-path {tmp_path} ipykernel"
    assert kinds.installing(inspect.find(folder), ["x"]) == f"pixi add --manifest-path {tmp_path} --feature gpu x"


def test_pixi_global(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PIXI_HOME", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    for home in (tmp_path / ".pixi", tmp_path / "elsewhere"):
        folder = home / "envs" / "science"
        (folder / "conda-meta").mkdir(parents=True)
        (folder / "conda-meta" / "history").touch()
        (folder / "bin").mkdir()
        (folder / "bin" / "python").touch()
        assert kinds.kind(folder) == "pixi global"
        command = kinds.installing(inspect.find(folder), ["ipykernel"])
        assert command == "pixi global add --environment science ipykernel"
        monkeypatch.setenv("PIXI_HOME", str(tmp_path / "elsewhere"))
    monkeypatch.delenv("PIXI_HOME")
    (tmp_path / "pixi.toml").touch()
    assert kinds.kind(tmp_path / ".pixi" / "envs" / "science") == "pixi", "the home is a project"


def test_poetrys_folder_of_environments_is_no_project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda program: program if program == "uv" else None)
    folder = tmp_path / "pypoetry" / "virtualenvs" / "paper-x1y2-py3.11"
    venv.create(folder, with_pip=False)
    place = inspect.find(folder)
    assert kinds.kind(folder) == "poetry"
    assert kinds.installing(place, ["ipykernel"]) == f"uv pip install --python {place.python} ipykernel"
    project = tmp_path / "paper"
    project.mkdir()
    (project / "pyproject.toml").touch()
    command = kinds.installing(Place(folder, place.python, project), ["ipykernel"])
    assert command == f"poetry --directory {project} add --group dev ipykernel", "poetry itself said where it is"
