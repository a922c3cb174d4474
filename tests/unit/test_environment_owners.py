"""An environment stays while a kernel points to it, whatever paths of the same folders are in use."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import pytest

from tfprovisioner.environments import store
from tfprovisioner.environments.store import Environment
from tfprovisioner.kernelspecs import install
from tfprovisioner.pythons import from_conda
from tfprovisioner.requirements.request import InstallRequest, Recipe
from tfprovisioner.system import built_folders

REQUEST = InstallRequest("1.14")
RECIPE = Recipe.of(REQUEST, "3.7")


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder ``real`` with data and a Jupyter, and ``link``, which leads to it."""
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    use(tmp_path / "real", monkeypatch)
    return tmp_path


def use(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TFKERNELS_HOME", str(folder / "data"))
    monkeypatch.setenv("JUPYTER_PATH", str(folder / "jupyter"))


def environment(label: str) -> Environment:
    """One that looks whole."""
    folder = store.root() / f"{RECIPE.name}.build-{label}"
    for package in ("tensorflow", "ipykernel"):
        package_folder = folder / "lib/python3.7/site-packages" / package
        package_folder.mkdir(parents=True)
        (package_folder / "__init__.py").touch()
    python = folder / "bin" / "python3.7"
    python.parent.mkdir()
    python.touch()
    (folder / "bin" / "python").symlink_to(python)
    made = Environment(folder, RECIPE, "3.7.16", str(python), f"2026-01-01 {label}", 1)
    made.save()
    return made


def kernel(place: Path, name: str, pointing: Environment) -> Path:
    """A kernelspec, of which the environment has a note."""
    described = {
        "environment": str(pointing.folder), "tensorflow": "1.14.0", "python": "3.7.16", "backend": "uv",
        "command": f"tfkernels install 1.14 --name {name}",
    }  # fmt: skip
    folder = place / "real" / "jupyter" / "kernels" / name
    folder.mkdir(parents=True, exist_ok=True)
    content = {"argv": ["python"], "display_name": name, "language": "python", "metadata": {"tfkernels": described}}
    (folder / "kernel.json").write_text(json.dumps(content))
    store.note_kernel(pointing.folder, folder)
    return folder


def test_an_install_through_a_link_spares_other_kernels(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second, unused = environment("aaaaaa"), environment("bbbbbb"), environment("cccccc")
    kernel(place, "a14", first)
    kernel(place, "b14", second)
    use(place / "link", monkeypatch)
    store.sweep(RECIPE)
    assert [made.folder.exists() for made in (first, second, unused)] == [True, True, False]


def test_a_removal_through_a_link_spares_other_kernels(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = environment("aaaaaa"), environment("bbbbbb")
    kernel(place, "a14", first)
    kernel(place, "b14", second)
    use(place / "link", monkeypatch)
    assert [done.environment for done in install.remove("a14")] == [first.folder]
    assert not first.folder.exists()
    assert second.folder.exists()


def test_an_environment_stays_without_its_note(place: Path) -> None:
    made = environment("aaaaaa")
    kernel(place, "a14", made)
    (made.folder / "kernels.json").unlink()
    store.sweep(RECIPE)
    assert made.folder.exists()


def test_a_program_runs_there_by_any_path(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = environment("aaaaaa").folder
    program = str(folder / "bin" / "python").replace("/real/", "/link/")
    elsewhere = program.replace("/data/", "/copy/")
    for path, runs in ((program, True), (elsewhere, False), ("/usr/bin/python", False)):
        process = SimpleNamespace(info={"cmdline": [path], "exe": "/usr/bin/python3.7", "environ": {}})
        monkeypatch.setattr("psutil.process_iter", lambda _, process=process: [process])
        assert built_folders.runs(folder) is runs


def test_a_conda_python_stays_behind_a_link(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    python = from_conda.root() / "python-3.7-abc.build-abc123"
    (python / "bin").mkdir(parents=True)
    (environment("aaaaaa").folder / "pyvenv.cfg").write_text(f"home = {python / 'bin'}\n")
    use(place / "link", monkeypatch)
    assert list(from_conda.unused()) == []


def test_a_kernel_finds_its_environment_by_any_path(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = environment("aaaaaa")
    folder = kernel(place, "a14", made)
    store.note_kernel(made.folder, place / "link" / "jupyter" / "kernels" / "a14")
    assert len(store.noted_kernels(made.folder)) == 1
    for path in (folder, place / "link" / "jupyter" / "kernels" / "a14"):
        assert store.whole(REQUEST, path) == made
    assert store.whole(REQUEST, folder.parent / "b14") is None


def test_the_last_of_several_kernels_keeps_its_environment(place: Path) -> None:
    made = environment("aaaaaa")
    first, second = kernel(place, "a14", made), kernel(place, "b14", made)
    assert store.noted_kernels(made.folder) == [first, second]
    assert store.whole(REQUEST, first) is None
    (second / "kernel.json").unlink()
    assert store.whole(REQUEST, first) == made
    (first / "kernel.json").unlink()
    assert store.whole(REQUEST, first) is None, "nobody knows whose it was last"


def test_records_of_other_versions_can_be_read(place: Path) -> None:
    made = environment("aaaaaa")
    record = made.folder / store.FOLDERS.record
    content = json.loads(record.read_text())
    assert "absent" not in content, "older versions refuse it"
    record.write_text(json.dumps({**content, "a later field": 1}))
    assert store.read(made.folder) == made
